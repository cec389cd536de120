//! Pauses before another worker is asked for.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next worker is asked for, after one could not be started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    until: Option<Instant>,
    length: Duration,
}

impl Pause {
    pub(crate) fn lengthen(&mut self) {
        self.length = (self.length * 2).clamp(SHORTEST, LONGEST);
        self.until = Some(Instant::now() + self.length);
    }

    pub(crate) fn lasts(self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// When it is over, if there is one.
    pub(crate) fn end(self) -> Option<Instant> {
        self.until
    }
}
