//! What a pool keeps within.

use std::time::Duration;

use millpond_core::pool::size::Bounds;

/// What a pool keeps within.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) least: Option<usize>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_pending: Option<usize>,
    pub(super) ageing: Option<Duration>,
}

impl Limits {
    /// The bounds of a pool of at most so many workers.
    pub(super) fn bounds(self, most: usize) -> Bounds {
        Bounds {
            least: self.least.unwrap_or(most).min(most),
            most,
            idle_timeout: self.idle_timeout.unwrap_or(Bounds::IDLE_TIMEOUT),
        }
    }
}
