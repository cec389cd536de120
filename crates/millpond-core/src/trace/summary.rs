//! A run in figures.

use std::collections::BTreeSet;

use crate::trace::incident::incidents;
use crate::trace::span::Outcome;
use crate::trace::timeline::Timeline;

/// A run in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Tasks that began.
    pub(crate) tasks: u64,
    /// Items in them.
    pub(crate) items: u64,
    /// Tasks that ended with an error of their own.
    pub(crate) failed: u64,
    /// Places in the pool.
    pub(crate) workers: usize,
    /// From the first start to the last end of anything, in nanoseconds.
    pub(crate) wall_ns: u64,
    /// Time spent in tasks, summed over all workers, in nanoseconds.
    pub(crate) busy_ns: u64,
    /// Worker processes that died unexpectedly.
    pub(crate) crashes: usize,
    /// Worker processes that took the place of another.
    pub(crate) replacements: usize,
}

impl Summary {
    pub(super) fn of(timeline: &Timeline) -> Self {
        let Timeline { spans, lives, .. } = timeline;
        let places = spans.iter().map(|s| s.worker).chain(lives.iter().map(|l| l.worker));
        let inhabited: BTreeSet<u32> = lives.iter().map(|l| l.worker).collect();
        Self {
            tasks: spans.len() as u64,
            items: spans.iter().map(|s| u64::from(s.items)).sum(),
            failed: spans.iter().filter(|s| s.outcome == Outcome::Failed).count() as u64,
            workers: places.collect::<BTreeSet<u32>>().len(),
            wall_ns: timeline.extent_ns().map_or(0, |(first, last)| last - first),
            busy_ns: spans.iter().fold(0, |sum, s| s.duration_ns().saturating_add(sum)),
            crashes: incidents(timeline).len(),
            replacements: lives.len() - inhabited.len(),
        }
    }

    /// The share of the workers' time that was spent in tasks, from 0 to 1.
    #[must_use]
    pub(crate) fn utilisation(&self) -> f64 {
        let available = self.wall_ns as f64 * self.workers as f64;
        if available > 0.0 { (self.busy_ns as f64 / available).min(1.0) } else { 0.0 }
    }
}
