//! Text that is safe inside markup.

use std::fmt::{self, Write};

/// Writes text so that it is text in XML and HTML, in an element or in a quoted attribute.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\t' | '\n' => self.0.write_char(character),
            // XML 1.0 has no way to write these, nor do they show.
            '\0'..' ' | '\u{7f}'..'\u{a0}' | '\u{fffe}' | '\u{ffff}' => {
                self.0.write_char('\u{fffd}')
            }
            _ => self.0.write_char(character),
        })
    }
}

/// Shortens text to `at_most` characters, the last of which is then an ellipsis.
pub(super) fn shortened(text: &str, at_most: usize) -> String {
    if text.chars().count() <= at_most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(at_most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let label = "main.<locals>.<lambda> & \"co\" 'x'";
        let expected = "main.&lt;locals&gt;.&lt;lambda&gt; &amp; &quot;co&quot; &#39;x&#39;";
        assert_eq!(Escaped(label).to_string(), expected);
    }

    #[test]
    fn characters_that_xml_forbids_are_replaced() {
        assert_eq!(Escaped("a\0b\u{1b}[0m\u{ffff}").to_string(), "a\u{fffd}b\u{fffd}[0m\u{fffd}");
        assert_eq!(Escaped("tab\tnewline\n").to_string(), "tab\tnewline\n");
    }

    #[test]
    fn long_text_is_shortened_by_characters() {
        assert_eq!(shortened("naïveté", 7), "naïveté");
        assert_eq!(shortened("naïvetés", 7), "naïvet…");
    }
}
