//! How waits for primitives end.

use std::time::{Duration, Instant};

use crate::os::futex::Woken;
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
