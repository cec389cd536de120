//! The record of a run.

use std::fs;
use std::io;
use std::path::Path;

use crate::trace::chart::Chart;
use crate::trace::life::Life;
use crate::trace::page::Page;
use crate::trace::span::Span;
use crate::trace::summary::Summary;

/// Which worker did what, and when.
///
/// Spans and lives may come in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// What the picture is headed with; "Timeline" if empty.
    pub title: String,
    /// The tasks that began.
    pub spans: Vec<Span>,
    /// The worker processes.
    pub lives: Vec<Life>,
}

impl Timeline {
    /// The run in figures.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// The picture as one SVG file, which embeds in other documents.
    #[must_use]
    pub fn to_svg(&self) -> String {
        Chart::of(self).to_string()
    }

    /// The picture as one HTML page, with tooltips and a table of the crashes.
    ///
    /// The page needs nothing from elsewhere. It is well-formed XML too.
    #[must_use]
    pub fn to_html(&self) -> String {
        Page::of(self).to_string()
    }

    /// Writes the picture to a file: as SVG if the path ends in `.svg`, else as HTML.
    ///
    /// # Errors
    /// Those of [`std::fs::write`].
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let is_svg = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
        fs::write(path, if is_svg { self.to_svg() } else { self.to_html() })
    }

    /// The first and the last moment of which anything is known; `None` for an empty record.
    pub(super) fn extent_ns(&self) -> Option<(u64, u64)> {
        let spans = self.spans.iter().flat_map(|s| [s.start_ns, s.end_ns]);
        let lives = self.lives.iter().flat_map(|l| [l.start_ns, l.end_ns.unwrap_or(l.start_ns)]);
        spans.chain(lives).fold(None, |extent, moment| {
            let (first, last) = extent.unwrap_or((moment, moment));
            Some((first.min(moment), last.max(moment)))
        })
    }

    pub(super) fn heading(&self) -> &str {
        if self.title.trim().is_empty() { "Timeline" } else { self.title.trim() }
    }
}
