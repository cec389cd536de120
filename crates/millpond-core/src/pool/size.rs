//! How many workers a pool may have, and wants.

use std::time::{Duration, Instant};

/// How many workers a pool may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many it always has.
    pub least: usize,
    /// More than this it never has.
    pub most: usize,
    /// How long a worker beyond `least` is idle before it leaves.
    pub idle_timeout: Duration,
}

impl Bounds {
    /// How long workers are idle before they leave where nothing else was said.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
}

impl Default for Bounds {
    fn default() -> Self {
        Self::from(0)
    }
}

impl From<usize> for Bounds {
    /// So many, neither more nor fewer.
    fn from(count: usize) -> Self {
        Self { least: count, most: count, idle_timeout: Self::IDLE_TIMEOUT }
    }
}

/// How large a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeInfo {
    /// Between what it may be.
    pub bounds: Bounds,
    /// How many workers it wants now.
    pub wanted: usize,
    /// How many it has: those that are being started too, but not those that were told to leave.
    pub workers: usize,
    /// How many workers left because there were too many, so far.
    pub left: u64,
}

/// The size that a pool wants.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) bounds: Bounds,
    pub(crate) wanted: usize,
    /// How many workers it began with; the binding has taken names for those.
    pub(crate) beginning: usize,
    /// When it last wanted more.
    pub(crate) grew_at: Option<Instant>,
    /// How many workers left because there were too many.
    pub(crate) left: u64,
}

impl Size {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let least = bounds.least;
        Self { bounds, wanted: least, beginning: least, grew_at: None, left: 0 }
    }

    /// Whether it might want more.
    pub(crate) fn may_grow(&self) -> bool {
        self.wanted < self.bounds.most
    }
}
