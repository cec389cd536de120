//! What a source is made of.

/// A piece of source that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// The line on which it begins, counted from 1.
    pub(crate) line: u32,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier. Soft keywords such as `match` are identifiers too.
    Name,
    Keyword,
    Number,
    /// A whole string literal with prefix and quotes, unless it is an f-string.
    String,
    /// The prefix and the opening quotes of an f-string.
    FStringStart,
    /// Text in an f-string, or a format specification.
    FStringMiddle,
    /// The closing quotes of an f-string.
    FStringEnd,
    Operator,
    Comment,
    /// The end of a logical line.
    NewLine,
}

impl Kind {
    /// What a word is: a keyword or a name.
    pub(super) fn of_word(word: &str) -> Self {
        if KEYWORDS.binary_search(&word).is_ok() { Self::Keyword } else { Self::Name }
    }
}

/// In the order of bytes.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];
