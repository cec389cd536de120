//! The text of f-strings, and where it ends.

use super::literal::{Opening, Quotes};

/// What the scanner is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The text of an f-string.
    Text(FString),
    /// A replacement field, which was opened with so many brackets open.
    Field { string: FString, brackets: usize },
    /// The format specification behind the colon of a field.
    Specification(FString),
}

/// What matters of an f-string when its text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FString {
    pub(super) quotes: Quotes,
    is_raw: bool,
}

/// What comes behind a stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The closing quotes.
    Quotes,
    /// The brace that opens a field.
    Field,
    /// The brace that closes the field which a specification belongs to.
    FieldEnd,
    /// Nothing, although there should be something.
    Missing,
}

impl From<Opening> for FString {
    fn from(opening: Opening) -> Self {
        Self { quotes: opening.quotes, is_raw: opening.is_raw }
    }
}

impl FString {
    /// How long the text at the beginning of `source` is, and what comes behind it.
    pub(super) fn text_length(self, source: &str) -> (usize, Stop) {
        let mut rest = source;
        loop {
            let here = source.len() - rest.len();
            let skipped = match rest.chars().next() {
                None => return (here, Stop::Missing),
                Some('\n') if !self.quotes.spans_lines() => return (here, Stop::Missing),
                Some('\\') => self.escape_length(rest),
                Some('{') if rest.starts_with("{{") => 2,
                Some('{') => return (here, Stop::Field),
                Some(_) if self.quotes.begin(rest) => return (here, Stop::Quotes),
                Some(character) => character.len_utf8(),
            };
            rest = &rest[skipped..];
        }
    }

    /// How long the format specification at the beginning of `source` is, and what comes behind.
    pub(super) fn specification_length(self, source: &str) -> (usize, Stop) {
        for (index, character) in source.char_indices() {
            match character {
                '{' => return (index, Stop::Field),
                '}' => return (index, Stop::FieldEnd),
                '\n' if !self.quotes.spans_lines() => return (index, Stop::Missing),
                _ if self.quotes.begin(&source[index..]) => return (index, Stop::Missing),
                _ => {}
            }
        }
        (source.len(), Stop::Missing)
    }

    /// The length of a backslash and what it escapes. A brace cannot be escaped with it, but may
    /// hold the name of a character, as in `\N{DASH}`.
    fn escape_length(self, source: &str) -> usize {
        let escaped = source[1..].chars().next();
        match escaped {
            Some('{' | '}') | None => 1,
            Some('N') if !self.is_raw && source[2..].starts_with('{') => {
                source.find('}').map_or(2, |end| end + 1)
            }
            Some(character) => 1 + character.len_utf8(),
        }
    }
}
