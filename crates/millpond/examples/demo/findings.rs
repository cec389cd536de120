//! What was found in all files together.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::report::FileReport;

/// The analysis of many files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) tokens: u64,
    pub(crate) comments: u64,
    pub(crate) functions: u64,
    pub(crate) classes: u64,
    pub(crate) decisions: u64,
    /// Files that could not be analysed, each with the reason.
    pub(crate) problems: Vec<(String, String)>,
    /// The files with the most decisions, each with their number.
    pub(crate) most_decisions: Vec<(String, u64)>,
    /// The names that are used most often, each with how often.
    pub(crate) most_used: Vec<(String, u64)>,
}

impl Findings {
    /// Sums up reports, with the `top` files and names.
    pub(crate) fn of<'a>(reports: impl IntoIterator<Item = &'a FileReport>, top: usize) -> Self {
        let mut findings = Self::default();
        let mut names: HashMap<&str, u64> = HashMap::new();
        for report in reports {
            findings.files += 1;
            findings.lines += report.lines;
            findings.tokens += report.tokens;
            findings.comments += report.comments;
            findings.functions += report.functions;
            findings.classes += report.classes;
            findings.decisions += report.decisions;
            findings.most_decisions.push((report.path.clone(), report.decisions));
            if let Some(problem) = &report.problem {
                findings.problems.push((report.path.clone(), problem.clone()));
            }
            for (name, uses) in &report.names {
                *names.entry(name).or_default() += uses;
            }
        }
        findings.most_used =
            names.into_iter().map(|(name, uses)| (name.to_owned(), uses)).collect();
        findings.problems.sort();
        keep_top(&mut findings.most_used, top);
        keep_top(&mut findings.most_decisions, top);
        findings
    }
}

/// Keeps the entries with the greatest numbers, the greatest first.
fn keep_top(entries: &mut Vec<(String, u64)>, top: usize) {
    entries.sort_by(|left, right| (Reverse(left.1), &left.0).cmp(&(Reverse(right.1), &right.0)));
    entries.truncate(top);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::analyse_source;

    #[test]
    fn reports_are_summed_up_and_the_top_is_kept() {
        let sources = [("b.py", "a = b if a else c\n"), ("a.py", "def b(): b(d)\n"), ("c.py", "'")];
        let reports = sources.map(|(path, source)| analyse_source(path.to_owned(), source));
        let findings = Findings::of(&reports, 2);
        assert_eq!((findings.files, findings.lines, findings.functions), (3, 2, 1));
        let named = |entries: &[(&str, u64)]| -> Vec<(String, u64)> {
            entries.iter().map(|&(name, number)| (name.to_owned(), number)).collect()
        };
        assert_eq!(findings.most_used, named(&[("b", 3), ("a", 2)]));
        assert_eq!(findings.most_decisions, named(&[("b.py", 1), ("a.py", 0)]));
        assert_eq!(findings.problems.len(), 1);
    }
}
