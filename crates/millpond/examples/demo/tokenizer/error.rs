//! What is not Python.

use std::fmt;

/// The place where a source stops being Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenizeError {
    /// The line, counted from 1, on which the faulty token begins.
    pub(crate) line: u32,
    pub(crate) problem: Problem,
}

/// What is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A string literal without closing quotes.
    UnterminatedString,
    /// An opening bracket whose partner is missing.
    UnclosedBracket,
    /// A closing bracket whose partner is missing.
    UnopenedBracket,
    /// A character that begins no token.
    StrayCharacter(char),
}

impl fmt::Display for TokenizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::UnterminatedString => f.write_str("a string is not terminated")?,
            Problem::UnclosedBracket => f.write_str("a bracket is not closed")?,
            Problem::UnopenedBracket => f.write_str("a bracket was not opened")?,
            Problem::StrayCharacter(character) => write!(f, "{character:?} begins no token")?,
        }
        write!(f, " (line {})", self.line)
    }
}

impl std::error::Error for TokenizeError {}
