//! A check that markup is well-formed XML, as far as the pictures go.

/// Panics with the place if a tag is unbalanced, an attribute unquoted or an entity unknown.
pub(super) fn assert_well_formed(document: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some((text, after)) = rest.split_once('<') {
        assert_text(text);
        let (tag, after) = split_tag(after);
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in the wrong order");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        assert_attributes(attributes);
        if !is_empty {
            open.push(name);
        }
    }
    assert_text(rest);
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// Splits behind the `>` that ends a tag, which is not one within quotes.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|character| {
        quoted ^= character == '"';
        character == '>' && !quoted
    });
    let end = end.unwrap_or_else(|| panic!("a tag without end: {text:.80}"));
    (&text[..end], &text[end + 1..])
}

fn assert_attributes(mut text: &str) {
    while !text.trim().is_empty() {
        let (name, value) = text.split_once("=\"").unwrap_or_else(|| panic!("no value: {text}"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-:".contains(c);
        assert!(name.trim().chars().all(is_name), "no attribute name: {name}");
        let (value, rest) = value.split_once('"').unwrap_or_else(|| panic!("no end: {text}"));
        assert_text(value);
        text = rest;
    }
}

fn assert_text(text: &str) {
    let forbidden = |c: char| c < ' ' && !matches!(c, '\n' | '\t');
    assert!(!text.contains(forbidden), "a control character in {text:?}");
    assert!(!text.contains('<'), "a bare < in {text:?}");
    for after in text.split('&').skip(1) {
        let (entity, _) = after.split_once(';').unwrap_or_else(|| panic!("a bare &: &{after:.20}"));
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "unknown: &{entity};");
    }
}

#[test]
fn well_formed_markup_passes() {
    assert_well_formed("<!DOCTYPE html>\n<a b=\"c > d\"><e/>1 &lt; 2 &amp; 3</a>");
}

#[test]
fn malformed_markup_does_not() {
    let broken = [
        "<a>",
        "<a></b>",
        "<a b=c></a>",
        "<a>&nbsp;</a>",
        "<a>1 & 2</a>",
        "<a b=\"<\"/>",
        "<a",
        "\u{1b}",
    ];
    for markup in broken {
        let result = std::panic::catch_unwind(|| assert_well_formed(markup));
        assert!(result.is_err(), "{markup:?} passed");
    }
}
