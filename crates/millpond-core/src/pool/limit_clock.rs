//! `LimitClock`, when the supervisor is to look at the limits of tasks.

use std::time::{Duration, Instant};

use crate::os::clock::monotonic_ns;

pub(crate) const NEVER: u64 = u64::MAX;

/// When the supervisor is to look at limits, in monotonic nanoseconds.
#[derive(Debug)]
pub(crate) struct LimitClock {
    next: u64,
    /// What it knows of.
    told: u64,
}

impl Default for LimitClock {
    fn default() -> Self {
        Self { next: NEVER, told: NEVER }
    }
}

impl LimitClock {
    /// A look is due at this time, if not before.
    pub(crate) fn look_at(&mut self, at: u64) {
        self.next = self.next.min(at);
    }

    /// The same, so long after `now`.
    pub(crate) fn look_after(&mut self, now: u64, length: Duration) {
        self.look_at(now.saturating_add(nanoseconds(length)));
    }

    /// Whether a look is due; then it begins, and the next is yet to be asked for.
    pub(crate) fn begin_look(&mut self, now: u64) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = NEVER;
        }
        is_due
    }

    /// Whether the supervisor does not know that it has to look so early; from now on it does.
    pub(crate) fn is_news(&mut self) -> bool {
        let is_news = self.next < self.told;
        self.told = self.told.min(self.next);
        is_news
    }

    /// For the supervisor: when to wake for a look, if it has to.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.told = self.next;
        let left = self.next.saturating_sub(monotonic_ns());
        (self.next != NEVER).then(|| Instant::now() + Duration::from_nanos(left))
    }
}

/// Lengths that are too long for a number last for ever.
pub(crate) fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(NEVER)
}
