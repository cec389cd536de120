//! Operators and delimiters.

/// The operator that a source begins with, the longest if there are several.
pub(super) fn longest_operator(source: &str) -> Option<&str> {
    [3, 2, 1].iter().filter_map(|&length| source.get(..length)).find(|text| is_operator(text))
}

fn is_operator(text: &str) -> bool {
    match text.len() {
        3 => matches!(text, "**=" | "//=" | ">>=" | "<<=" | "..."),
        2 => matches!(
            text,
            "!=" | "%="
                | "&="
                | "**"
                | "*="
                | "+="
                | "-="
                | "->"
                | "//"
                | "/="
                | ":="
                | "<<"
                | "<="
                | "=="
                | ">="
                | ">>"
                | "@="
                | "^="
                | "|="
        ),
        _ => text.bytes().all(|byte| b"!%&()*+,-./:;<=>@[]^{|}~".contains(&byte)),
    }
}
