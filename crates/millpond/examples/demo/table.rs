//! Rows in columns.

use std::fmt::Write;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Left,
    Right,
}

/// Sets rows under a title; gives nothing if there are no rows.
pub(crate) fn table<const N: usize>(
    title: &str,
    columns: [Column; N],
    rows: &[[String; N]],
) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let length = |text: &String| text.chars().count();
    let widths: [usize; N] =
        std::array::from_fn(|index| rows.iter().map(|row| length(&row[index])).max().unwrap_or(0));
    let rule = (widths.iter().sum::<usize>() + 2 * (N - 1)).max(title.chars().count());
    let mut text = format!("{title}\n{}\n", "─".repeat(rule));
    for row in rows {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(widths) {
            let gap = if line.is_empty() { "" } else { "  " };
            // Writing to a string cannot fail.
            let _ = match column {
                Column::Left => write!(line, "{gap}{cell:<width$}"),
                Column::Right => write!(line, "{gap}{cell:>width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["naïve", "1"], ["b", "1,000"]].map(|row| row.map(str::to_owned));
        let text = table("T", [Column::Left, Column::Right], &rows);
        assert_eq!(text, "T\n────────────\nnaïve      1\nb      1,000\n");
        assert_eq!(table("T", [Column::Left], &[]), "");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([7, 1_000, 12_345_678].map(grouped), ["7", "1,000", "12,345,678"]);
    }
}
