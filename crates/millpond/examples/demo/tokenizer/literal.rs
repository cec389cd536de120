//! How long literals are.

/// A string's prefix and opening quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// The length of prefix and quotes, in bytes.
    pub(super) length: usize,
    pub(super) quotes: Quotes,
    pub(super) is_raw: bool,
    /// Whether the string has replacement fields: an f-string or a t-string.
    pub(super) has_fields: bool,
}

/// What a string ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quotes {
    mark: char,
    is_triple: bool,
}

impl Quotes {
    pub(super) fn length(self) -> usize {
        if self.is_triple { 3 } else { 1 }
    }

    /// Whether the string may go on in the next line.
    pub(super) fn spans_lines(self) -> bool {
        self.is_triple
    }

    pub(super) fn begin(self, source: &str) -> bool {
        source.chars().take(self.length()).filter(|&c| c == self.mark).count() == self.length()
    }
}

/// The opening of the string that a source begins with, if it begins with one.
pub(super) fn opening(source: &str) -> Option<Opening> {
    let prefix_length = source.bytes().take(3).position(|byte| matches!(byte, b'"' | b'\''))?;
    let prefix = source.get(..prefix_length)?;
    let known = ["", "r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"];
    if !known.iter().any(|known| known.eq_ignore_ascii_case(prefix)) {
        return None;
    }
    let mark = source[prefix_length..].chars().next()?;
    let triple = Quotes { mark, is_triple: true };
    let is_triple = triple.begin(&source[prefix_length..]);
    let quotes = Quotes { mark, is_triple };
    Some(Opening {
        length: prefix_length + quotes.length(),
        quotes,
        is_raw: prefix.contains(['r', 'R']),
        has_fields: prefix.contains(['f', 'F', 't', 'T']),
    })
}

/// The length of the text up to and with the closing quotes; `None` if there are none.
///
/// A backslash keeps the character behind it from ending the string, in raw strings too.
pub(super) fn string_length(text: &str, quotes: Quotes) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '\n' if !quotes.spans_lines() => return None,
            _ if quotes.begin(&text[index..]) => return Some(index + quotes.length()),
            _ => {}
        }
    }
    None
}

/// The length of the number that a source begins with; 0 if it does not begin with one.
pub(super) fn number_length(source: &str) -> usize {
    let bytes = source.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(b' ');
    let digits = |from: usize, is_digit: fn(&u8) -> bool| {
        let rest = bytes[from.min(bytes.len())..].iter();
        from + rest.take_while(|&byte| is_digit(byte) || *byte == b'_').count()
    };
    if at(0) == b'0' {
        match at(1).to_ascii_lowercase() {
            b'x' => return digits(2, u8::is_ascii_hexdigit),
            b'o' | b'b' => return digits(2, u8::is_ascii_digit),
            _ => {}
        }
    }
    let first_digit = usize::from(at(0) == b'.');
    if !at(first_digit).is_ascii_digit() {
        return 0;
    }
    let mut end = digits(0, u8::is_ascii_digit);
    if at(end) == b'.' {
        end = digits(end + 1, u8::is_ascii_digit);
    }
    if at(end).eq_ignore_ascii_case(&b'e') {
        let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
        if at(end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign, u8::is_ascii_digit);
        }
    }
    end + usize::from(at(end).eq_ignore_ascii_case(&b'j'))
}
