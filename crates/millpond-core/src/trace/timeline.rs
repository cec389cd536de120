//! The record of a run.

use crate::trace::life::Life;
use crate::trace::span::Span;

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
    pub(crate) lives: Vec<Life>,
}

impl Timeline {
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
