//! One wait: how it sleeps, when it looks for the dead, when it ends.

use std::convert::Infallible;
use std::time::Duration;

use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::sync::atomic::Futex;
use crate::sync::deaths::Deaths;
pub use crate::sync::deaths::RECHECK_INTERVAL;

/// When a wait ends, and what it knows of deaths while it lasts.
#[derive(Debug)]
pub(crate) struct Deadline {
    until: Option<Instant>,
    deaths: Deaths,
}

/// What a waiter does after a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Look again for what it waits for.
    Look,
    /// Somebody may have died: look for what the dead have left, all of it, then again.
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

    fn has_passed(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Whether the waiter hears of every death, and so looks rarely.
    pub(crate) fn hears_of_deaths(&self) -> bool {
        self.deaths.are_heard()
    }

    /// Sleeps while `word` holds `expected`. All sleeps of a wait are on the same word.
    pub(crate) fn sleep(&mut self, word: &impl Futex, expected: u32) -> After {
        let Ok(after) =
            self.sleep_with::<Infallible>(|deaths, left| Ok(deaths.sleep(word, expected, left)));
        after
    }

    /// Sleeps as `sleep` does, for at most the time that it is told. All sleeps of a wait are in the same
    /// memory.
    ///
    /// # Errors
    /// Those of `sleep`.
    pub(crate) fn sleep_with<E>(
        &mut self,
        sleep: impl FnOnce(&mut Deaths, Option<Duration>) -> Result<Woken, E>,
    ) -> Result<After, E> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        Ok(match sleep(&mut self.deaths, left)? {
            Woken::Changed => After::Look,
            Woken::Interrupted => After::Interrupted,
            Woken::TimedOut if self.has_passed() => After::GiveUp,
            Woken::TimedOut => After::LookForDead,
        })
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
