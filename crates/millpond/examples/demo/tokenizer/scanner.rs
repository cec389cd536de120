//! From text to tokens.

use super::error::{Problem, TokenizeError};
use super::fstring::{FString, Frame, Stop};
use super::literal::{number_length, opening, string_length};
use super::operator::longest_operator;
use super::token::{Kind, Token};

/// Iterates over the tokens of a source; an error is the last that it yields.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    rest: &'a str,
    line: u32,
    /// The f-strings that are open, with their fields.
    frames: Vec<Frame>,
    /// The brackets that are open.
    brackets: usize,
    /// Whether the logical line has any tokens yet.
    line_is_empty: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let rest = source.strip_prefix('\u{feff}').unwrap_or(source);
        Self { rest, line: 1, frames: Vec::new(), brackets: 0, line_is_empty: true }
    }

    fn scan(&mut self) -> Result<Option<Token<'a>>, TokenizeError> {
        match self.frames.last().copied() {
            Some(Frame::Text(string)) => self.text(string, string.text_length(self.rest)),
            Some(Frame::Specification(string)) => {
                self.text(string, string.specification_length(self.rest))
            }
            Some(Frame::Field { .. }) | None => self.code(),
        }
    }

    /// Text of an f-string if there is any, else what comes behind it.
    fn text(
        &mut self,
        string: FString,
        (length, stop): (usize, Stop),
    ) -> Result<Option<Token<'a>>, TokenizeError> {
        if length > 0 && stop != Stop::Missing {
            return Ok(Some(self.take(Kind::FStringMiddle, length)));
        }
        match stop {
            Stop::Missing => Err(self.error(Problem::UnterminatedString)),
            Stop::Quotes => {
                self.frames.pop();
                Ok(Some(self.take(Kind::FStringEnd, string.quotes.length())))
            }
            Stop::Field => {
                self.frames.push(Frame::Field { string, brackets: self.brackets });
                Ok(Some(self.take(Kind::Operator, 1)))
            }
            Stop::FieldEnd => {
                self.frames.pop();
                Ok(Some(self.take(Kind::Operator, 1)))
            }
        }
    }

    /// A token outside of strings, or in a replacement field.
    fn code(&mut self) -> Result<Option<Token<'a>>, TokenizeError> {
        loop {
            let Some(character) = self.rest.chars().next() else {
                return self.end();
            };
            let is_inside = self.brackets > 0 || !self.frames.is_empty();
            match character {
                ' ' | '\t' | '\u{c}' | '\r' => {
                    self.advance(1);
                }
                '\\' if self.rest[1..].trim_start_matches('\r').starts_with('\n') => {
                    let length = self.rest.find('\n').map_or(1, |index| index + 1);
                    self.advance(length);
                }
                '\n' if is_inside || self.line_is_empty => {
                    self.advance(1);
                }
                '\n' => return Ok(Some(self.take(Kind::NewLine, 1))),
                '#' => {
                    let length = self.rest.find(['\r', '\n']).unwrap_or(self.rest.len());
                    return Ok(Some(self.take(Kind::Comment, length)));
                }
                _ => return self.token(character).map(Some),
            }
        }
    }

    fn end(&mut self) -> Result<Option<Token<'a>>, TokenizeError> {
        if !self.frames.is_empty() {
            return Err(self.error(Problem::UnterminatedString));
        }
        if self.brackets > 0 {
            return Err(self.error(Problem::UnclosedBracket));
        }
        if self.line_is_empty {
            return Ok(None);
        }
        Ok(Some(self.take(Kind::NewLine, 0)))
    }

    fn token(&mut self, character: char) -> Result<Token<'a>, TokenizeError> {
        if let Some(opening) = opening(self.rest) {
            if opening.has_fields {
                self.frames.push(Frame::Text(opening.into()));
                return Ok(self.take(Kind::FStringStart, opening.length));
            }
            let length = string_length(&self.rest[opening.length..], opening.quotes)
                .ok_or_else(|| self.error(Problem::UnterminatedString))?;
            return Ok(self.take(Kind::String, opening.length + length));
        }
        if character == '_' || character.is_alphabetic() {
            let goes_on = |c: char| c == '_' || c.is_alphanumeric() || is_mark(c);
            let length = self.rest.find(|c| !goes_on(c)).unwrap_or(self.rest.len());
            return Ok(self.take(Kind::of_word(&self.rest[..length]), length));
        }
        match number_length(self.rest) {
            0 => self.operator(character),
            length => Ok(self.take(Kind::Number, length)),
        }
    }

    fn operator(&mut self, character: char) -> Result<Token<'a>, TokenizeError> {
        let stray = Problem::StrayCharacter(character);
        let text = longest_operator(self.rest).ok_or_else(|| self.error(stray))?;
        let Some(&Frame::Field { string, brackets }) = self.frames.last() else {
            if text == "!" {
                return Err(self.error(stray));
            }
            return self.bracket_or_operator(text);
        };
        if self.brackets > brackets {
            return self.bracket_or_operator(text);
        }
        match character {
            '}' => {
                self.frames.pop();
                Ok(self.take(Kind::Operator, 1))
            }
            // Even in `:=`, whose equals sign belongs to the specification.
            ':' => {
                self.frames.pop();
                self.frames.push(Frame::Specification(string));
                Ok(self.take(Kind::Operator, 1))
            }
            _ => self.bracket_or_operator(text),
        }
    }

    fn bracket_or_operator(&mut self, text: &str) -> Result<Token<'a>, TokenizeError> {
        match text {
            "(" | "[" | "{" => self.brackets += 1,
            ")" | "]" | "}" => {
                let opened = self.brackets.checked_sub(1);
                self.brackets = opened.ok_or_else(|| self.error(Problem::UnopenedBracket))?;
            }
            _ => {}
        }
        Ok(self.take(Kind::Operator, text.len()))
    }

    fn take(&mut self, kind: Kind, length: usize) -> Token<'a> {
        match kind {
            Kind::NewLine => self.line_is_empty = true,
            Kind::Comment => {}
            _ => self.line_is_empty = false,
        }
        let line = self.line;
        Token { kind, text: self.advance(length), line }
    }

    fn advance(&mut self, length: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += text.bytes().filter(|&byte| byte == b'\n').count() as u32;
        text
    }

    fn error(&self, problem: Problem) -> TokenizeError {
        TokenizeError { line: self.line, problem }
    }
}

/// Marks that combine with the letter before them, of the scripts that Python's sources use.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{b7}' | '\u{e0100}'..='\u{e01ef}')
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Result<Token<'a>, TokenizeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.scan().transpose();
        if matches!(item, Some(Err(_))) {
            *self = Self::new("");
        }
        item
    }
}
