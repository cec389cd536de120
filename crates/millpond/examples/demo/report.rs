//! What there is to know of one source file; making it is the task that the workers run.

use std::collections::HashMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::decisions::decisions;
use crate::tokenizer::{Kind, Token, tokenize};

/// The analysis of one file; of one that could not be read or tokenized, only why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileReport {
    pub(crate) path: String,
    pub(crate) lines: u64,
    pub(crate) tokens: u64,
    pub(crate) comments: u64,
    pub(crate) functions: u64,
    pub(crate) classes: u64,
    pub(crate) decisions: u64,
    /// Each name with how often it is used, in the order of the names.
    pub(crate) names: Vec<(String, u64)>,
    pub(crate) problem: Option<String>,
}

/// Reads and analyses one file. What is wrong with the file is said in the report.
pub(crate) fn analyse_file(path: String) -> FileReport {
    match fs::read(&path) {
        Ok(bytes) => analyse_source(path, &text_of(bytes)),
        Err(error) => FileReport { path, problem: Some(error.to_string()), ..Default::default() },
    }
}

/// Analyses the source of one file.
pub(crate) fn analyse_source(path: String, source: &str) -> FileReport {
    let tokens: Vec<Token<'_>> = match tokenize(source).collect() {
        Ok(tokens) => tokens,
        Err(error) => {
            return FileReport { path, problem: Some(error.to_string()), ..Default::default() };
        }
    };
    let mut report = FileReport {
        path,
        lines: source.lines().count() as u64,
        tokens: tokens.len() as u64,
        decisions: decisions(&tokens),
        ..Default::default()
    };
    let mut names: HashMap<&str, u64> = HashMap::new();
    for token in tokens {
        match (token.kind, token.text) {
            (Kind::Comment, _) => report.comments += 1,
            (Kind::Keyword, "def") => report.functions += 1,
            (Kind::Keyword, "class") => report.classes += 1,
            (Kind::Name, name) => *names.entry(name).or_default() += 1,
            _ => {}
        }
    }
    report.names = names.into_iter().map(|(name, uses)| (name.to_owned(), uses)).collect();
    report.names.sort_unstable();
    report
}

/// Decodes a file with lines that end in `\n`. What is not UTF-8 is read as Latin-1, in which
/// every byte is a character: all of the encodings that Python's sources use agree on ASCII.
fn text_of(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect());
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let source = "class A:  # one\n    async def f(self): return self.g(1)\ndef g(): ...\n";
        let report = analyse_source("a.py".to_owned(), source);
        assert_eq!((report.lines, report.comments), (3, 1));
        assert_eq!((report.classes, report.functions), (1, 2));
        let names = [("A", 1), ("f", 1), ("g", 2), ("self", 2)];
        assert_eq!(report.names, names.map(|(name, uses)| (name.to_owned(), uses)));
        assert_eq!(report.problem, None);
    }

    #[test]
    fn what_is_not_python_is_a_problem() {
        let report = analyse_source("a.py".to_owned(), "def f(:\n'");
        assert_eq!(report.problem.as_deref(), Some("a string is not terminated (line 2)"));
        assert_eq!((report.functions, report.names.len()), (0, 0));
        let missing = analyse_file("/no/such/file.py".to_owned());
        assert!(missing.problem.is_some_and(|problem| problem.contains("No such file")));
    }

    #[test]
    fn every_encoding_and_every_line_ending_is_read() {
        assert_eq!(text_of(b"na\xefve\r\nb\rc\n".to_vec()), "naïve\nb\nc\n");
        assert_eq!(text_of("naïve".into()), "naïve");
    }
}
