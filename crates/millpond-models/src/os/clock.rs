//! A clock that only sleeping moves.

use std::ops::Add;
use std::time::Duration;

use crate::world;

/// A time of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The present time.
    #[must_use]
    pub fn now() -> Self {
        Self(world::time())
    }

    /// How long ago this was.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        world::time().saturating_sub(self.0)
    }

    /// How long before this the other was.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

/// The present time in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(world::time().as_nanos()).unwrap_or(u64::MAX)
}
