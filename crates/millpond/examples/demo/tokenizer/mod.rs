//! A tokenizer for Python, as far as an analysis without grammar needs one.
//!
//! It follows the chapter "Lexical analysis" of Python's reference and PEP 701: what stands in
//! the replacement fields of an f-string is tokens too. Indentation is left out, and identifiers
//! are those of `char::is_alphanumeric`, which is near enough to PEP 3131.

mod error;
mod fstring;
mod literal;
mod operator;
mod scanner;
mod token;

pub(crate) use token::{Kind, Token};

use scanner::Scanner;

/// The tokens of a source, up to the first thing that is not Python.
pub(crate) fn tokenize(source: &str) -> Scanner<'_> {
    Scanner::new(source)
}

#[cfg(test)]
mod tests;
