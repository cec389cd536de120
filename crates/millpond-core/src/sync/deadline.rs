//! `Deadline`, the state of one wait: its end, its subscription to deaths, and the sleep that
//! returns because of a wake-up, a death, a recheck, the deadline or a signal.

use std::time::Duration;

use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::sync::atomic::Futex;
use crate::sync::deaths::Deaths;
pub use crate::sync::outcome::RECHECK_INTERVAL;

/// When a wait ends, and what it knows of deaths while it lasts.
#[derive(Debug)]
pub(crate) struct Deadline {
    until: Option<Instant>,
    pub(crate) deaths: Deaths,
}

/// What a waiter does after a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Look again for what it waits for.
    Look,
    /// A process may have died: look for all that the dead have left, then for what the caller
    /// waits for.
    LookForDead,
    /// The deadline has passed. What it waits for may have come all the same.
    GiveUp,
    /// A signal handler ran.
    Interrupted,
}

impl Deadline {
    /// A wait that begins now and ends then; one without an end if that is `None`.
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self { until, deaths: Deaths::default() }
    }

    /// Whether the time is over.
    pub(crate) fn has_passed(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Whether the waiter notices every death, and so looks rarely.
    pub(crate) fn watches_deaths(&self) -> bool {
        self.deaths.are_heard()
    }

    /// Sleeps while `word` holds `expected`. All sleeps of a wait are on the same word.
    pub(crate) fn sleep(&mut self, word: &impl Futex, expected: u32) -> After {
        let left = self.left();
        let woken = self.deaths.sleep(word, expected, left);
        self.after(woken)
    }

    pub(crate) fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// What to do after a sleep that ended like this.
    pub(crate) fn after(&self, woken: Woken) -> After {
        match woken {
            Woken::Changed => After::Look,
            Woken::Interrupted => After::Interrupted,
            Woken::TimedOut if self.has_passed() => After::GiveUp,
            Woken::TimedOut => After::LookForDead,
        }
    }
}

/// How long a binding's call of the engine waits, of a wait that may take several: between two calls it
/// looks for what the engine does not see. Handlers of signals end a call; what is found between two is
/// a signal that came just before the call, and a deadlock.
#[derive(Debug)]
pub struct Turns(Duration);

impl Default for Turns {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl Turns {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// The end of the next call, which is no later than `deadline`.
    pub fn next(&mut self, deadline: Option<Instant>) -> Instant {
        let end = Instant::now() + self.0;
        self.0 = (self.0 * 2).min(Self::LONGEST);
        deadline.map_or(end, |deadline| deadline.min(end))
    }
}
