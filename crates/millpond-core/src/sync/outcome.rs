//! How waits for primitives end.

use std::time::Duration;

use crate::os::clock::{Instant, monotonic_ns};
use crate::os::futex::Woken;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::robust::SLICE;

/// The caller is not the one who may do this, or it cannot be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// It is not held by anybody.
    NotHeld,
    /// It is held by somebody else.
    NotOwner,
    /// It would have more permits than it may.
    TooManyReleases,
}

/// When somebody last looked for the dead, in milliseconds of the monotonic clock. For those that
/// do not wait: to look each time would cost too much.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct LastLook(AtomicU32);

impl LastLook {
    /// Whether it is time to look again; then the caller is the one who looks.
    pub(crate) fn is_due(&self) -> bool {
        // Truncated: only differences count.
        let now = (monotonic_ns() / 1_000_000) as u32;
        // Relaxed: the time guards nothing; two that look at once do no harm.
        let passed = now.wrapping_sub(self.0.load(Ordering::Relaxed));
        if Duration::from_millis(passed.into()) < SLICE {
            return false;
        }
        self.0.store(now, Ordering::Relaxed);
        true
    }
}

/// How much of a wait is left, in slices after each of which the waiter looks for the dead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    deadline: Option<Instant>,
}

/// What a waiter does after a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Look again for what it waits for.
    Look,
    /// A slice is over: look for the dead, then again.
    LookForDead,
    /// The deadline has passed. What it waits for may have come all the same.
    GiveUp,
    /// A signal handler ran.
    Interrupted,
}

impl Patience {
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        Self { deadline }
    }

    /// How long to sleep at most.
    pub(crate) fn slice(self) -> Duration {
        let left = self.deadline.map(|d| d.saturating_duration_since(Instant::now()));
        left.map_or(SLICE, |left| left.min(SLICE))
    }

    /// What to do after a sleep that ended like this.
    pub(crate) fn after(self, woken: Woken) -> After {
        match woken {
            Woken::Changed => After::Look,
            Woken::Interrupted => After::Interrupted,
            Woken::TimedOut if self.deadline.is_some_and(|d| d <= Instant::now()) => After::GiveUp,
            Woken::TimedOut => After::LookForDead,
        }
    }
}
