//! Pauses before another worker is asked for.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next worker is asked for, after one could not be started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    until: Option<Instant>,
    length: Duration,
}

impl Backoff {
    pub(crate) fn lengthen(&mut self) {
        self.length = (self.length * 2).clamp(SHORTEST, LONGEST);
        self.until = Some(Instant::now() + self.length);
    }

    /// Notes whether it is over. How long the next one is depends on it all the same.
    pub(crate) fn look(&mut self, now: Instant) {
        self.until = self.until.filter(|&until| now < until);
    }

    /// When it is over, if it lasts.
    pub(crate) fn end(self) -> Option<Instant> {
        self.until
    }

    /// Whether there has been one since workers last started well.
    pub(crate) fn is_repeated(self) -> bool {
        self.length > Duration::ZERO
    }
}
