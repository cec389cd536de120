//! Results as text.

use std::path::Path;
use std::time::Duration;

use crate::findings::Findings;
use crate::pool_run::PoolRun;
use crate::table::Column::{Left, Right};
use crate::table::{grouped, table};

/// How the serial and the pool's analysis went.
pub(crate) fn run_table(serial: Duration, workers: usize, run: &PoolRun) -> String {
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let speed_up = serial.as_secs_f64() / run.took.as_secs_f64();
    let rows = [
        ["serial".to_owned(), seconds(serial)],
        [format!("pool of {workers}"), seconds(run.took)],
        ["speed-up".to_owned(), format!("{speed_up:.2} x")],
        ["tasks".to_owned(), grouped(run.tasks)],
        ["crashes survived".to_owned(), grouped(run.crashes)],
        ["files resubmitted".to_owned(), grouped(run.resubmitted as u64)],
        ["workers replaced".to_owned(), grouped(run.replacements)],
        ["results".to_owned(), "equal".to_owned()],
    ];
    table("Run", [Left, Right], &rows)
}

/// What was found; paths are shown as seen from the directory.
pub(crate) fn findings_tables(findings: &Findings, directory: &Path) -> String {
    let place = |path: &String| {
        let path = Path::new(path);
        path.strip_prefix(directory).unwrap_or(path).display().to_string()
    };
    let totals = [
        ("files", findings.files),
        ("files that are not Python", findings.problems.len() as u64),
        ("lines", findings.lines),
        ("tokens", findings.tokens),
        ("comments", findings.comments),
        ("classes", findings.classes),
        ("functions", findings.functions),
        ("decisions", findings.decisions),
    ];
    let totals = totals.map(|(name, number)| [name.to_owned(), grouped(number)]);
    let files = findings.most_decisions.iter();
    let files: Vec<_> = files.map(|(path, number)| [grouped(*number), place(path)]).collect();
    let names = findings.most_used.iter();
    let names: Vec<_> = names.map(|(name, uses)| [grouped(*uses), name.clone()]).collect();
    let problems = findings.problems.iter();
    let problems: Vec<_> = problems.map(|(path, why)| [place(path), why.clone()]).collect();
    let sections = [
        table("Found", [Left, Right], &totals),
        table("Files with the most decisions", [Right, Left], &files),
        table("Most used names", [Right, Left], &names),
        table("Files that are not Python", [Left, Left], &problems),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|text| !text.is_empty()).collect();
    sections.join("\n")
}
