//! The marks of moments.

use std::fmt;

use crate::trace::markup::Escaped;

/// A mark of a moment in a worker's lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    /// A worker died.
    Crash,
    /// Another one took its place.
    Replacement,
}

impl Symbol {
    /// Draws it with its centre at a point.
    pub(super) fn draw(
        self,
        f: &mut impl fmt::Write,
        x: f64,
        y: f64,
        tooltip: Option<&str>,
    ) -> fmt::Result {
        let (name, strokes) = match self {
            Self::Crash => ("crash", "M-2.8 -2.8L2.8 2.8M2.8 -2.8L-2.8 2.8"),
            Self::Replacement => ("replacement", "M-3.6 0H3.6M0 -3.6V3.6"),
        };
        write!(f, r#"<g class="{name}" transform="translate({x:.1} {y})">"#)?;
        if let Some(tooltip) = tooltip {
            write!(f, "<title>{}</title>", Escaped(tooltip))?;
        }
        let disc = r#"<circle class="halo" r="8.5"/><circle class="disc" r="7"/>"#;
        writeln!(f, r#"{disc}<path class="glyph" d="{strokes}"/></g>"#)
    }
}
