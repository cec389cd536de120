//! The subscription of one wait to the deaths of all processes that have the memory in which it
//! sleeps. README.md has the argument.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::os::futex::{self, Woken};
use crate::os::ready;
use crate::shm::handed::Handed;
use crate::shm::presence::Members;
use crate::sync::atomic::Futex;
use crate::sync::death_watch::{self, DEATHS, Subscription};
use crate::sync::outcome::RECHECK_INTERVAL;

/// How long a wait sleeps before it subscribes: short ones are not to pay for it.
const WATCH_AFTER: Duration = Duration::from_millis(10);
/// When a wait that notices deaths looks for the dead nevertheless: a process may have executed
/// another program.
const WATCHED_RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Set once the kernel has refused to wait for several words.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// What one wait knows of deaths. All its sleeps are in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    /// How many recheck intervals it slept without watching them.
    intervals: u32,
    watched: Option<Watched>,
}

/// A wait in memory of which all members are watched.
#[derive(Debug)]
struct Watched {
    subscription: Subscription,
    handed: NonNull<Handed>,
    joined: u32,
    deaths: u32,
}

impl Deaths {
    /// Whether it watches all of them.
    pub(crate) fn are_heard(&self) -> bool {
        self.watched.is_some()
    }

    /// Sleeps while `word` holds `expected`, for at most `left`. [`Woken::TimedOut`] says that it is time
    /// to look for the dead.
    pub(crate) fn sleep(
        &mut self,
        word: &impl Futex,
        expected: u32,
        left: Option<Duration>,
    ) -> Woken {
        let word = word.futex();
        if let Some(watched) = &self.watched {
            let members = (watched.handed(word).joined(), watched.joined);
            let words = [(word, expected), members, (&DEATHS, watched.deaths)];
            match futex::wait_for_any(words, at_most(watched_recheck_interval(), left)) {
                Ok(woken) => return self.after_watching(woken, word),
                Err(_) => {
                    IS_REFUSED.store(true, Ordering::Relaxed);
                    self.watched = None;
                }
            }
        }
        let interval = self.interval(left);
        let woken = futex::wait(word, expected, Some(interval));
        self.after_interval(woken == Woken::TimedOut && left != Some(interval), word);
        woken
    }

    /// Sleeps until `fd` is readable; notices deaths in the memory where `near` lies. Otherwise
    /// as [`sleep`](Self::sleep).
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn sleep_until_readable<T>(
        &mut self,
        fd: BorrowedFd<'_>,
        near: &T,
        left: Option<Duration>,
    ) -> io::Result<Woken> {
        // In this order: what happened before there was this descriptor is seen in the count.
        let next_death =
            self.watched.as_ref().and_then(|watched| watched.subscription.next_death());
        let is_up_to_date =
            |deaths: &Self| deaths.watched.as_ref().is_some_and(|h| h.is_up_to_date(near));
        if next_death.is_none() && is_up_to_date(self) {
            // No descriptor is to be had.
            self.watched = None;
        }
        if self.watched.is_none() {
            let interval = self.interval(left);
            let woken = ready::until_readable_or(fd, None, interval)?;
            self.after_interval(woken == Woken::TimedOut && left != Some(interval), near);
            return Ok(woken);
        }
        let interval = if is_up_to_date(self) {
            at_most(watched_recheck_interval(), left)
        } else {
            Duration::ZERO
        };
        let end = Instant::now() + interval;
        let woken = ready::until_readable_or(fd, next_death, interval)?;
        if woken == Woken::TimedOut && Instant::now() < end && is_up_to_date(self) {
            // For nothing: the program has closed the descriptor, which may be another file's by now.
            self.watched = None;
        }
        Ok(self.after_watching(woken, near))
    }

    fn interval(&self, left: Option<Duration>) -> Duration {
        at_most(if self.intervals == 0 { WATCH_AFTER } else { RECHECK_INTERVAL }, left)
    }

    /// Subscribes once the wait has lasted for a while. What could not be had is asked for ever more
    /// rarely.
    fn after_interval<T>(&mut self, is_over: bool, near: &T) {
        self.intervals += u32::from(is_over);
        if is_over && self.intervals.is_power_of_two() {
            self.subscribe(near);
        }
    }

    /// After a sleep that would have been ended by a death: how it ended for the caller.
    fn after_watching<T>(&mut self, woken: Woken, near: &T) -> Woken {
        match &self.watched {
            // A wait that a signal interrupted reports the signal; the death ends its next sleep at
            // once.
            Some(watched) if woken != Woken::Interrupted && !watched.is_up_to_date(near) => {
                if DEATHS.load(Ordering::Acquire) == watched.deaths {
                    // A process has joined, and others may follow. It is watched after a recheck
                    // interval.
                    self.watched = None;
                    return woken;
                }
                self.subscribe(near);
                // The word may have changed, too: a waiter that looks for the dead checks it as
                // well.
                Woken::TimedOut
            }
            _ => woken,
        }
    }

    /// Hears of what happens from now on. What happened before is to be looked for after this.
    fn subscribe<T>(&mut self, near: &T) {
        self.watched = Watched::new(near);
        if self.watched.is_some() {
            self.intervals = 1;
        }
    }
}

impl Watched {
    /// Subscribes to the deaths of all members of the memory in which `near` lies; `None` where that
    /// cannot be.
    #[cold]
    fn new<T>(near: &T) -> Option<Self> {
        if IS_REFUSED.load(Ordering::Relaxed) {
            return None;
        }
        let members = Members::around(near)?;
        // Acquire: a process that is not counted yet will be counted, and one that is counted is
        // present or has died.
        let deaths = DEATHS.load(Ordering::Acquire);
        // SAFETY: as in `handed`.
        let joined = unsafe { members.handed.as_ref() }.joined().load(Ordering::Acquire);
        if !Handed::are_all_seen(joined) {
            return None;
        }
        let subscription = death_watch::subscribe(&members, joined)?;
        Some(Self { subscription, handed: members.handed, joined, deaths })
    }

    fn handed<T>(&self, _near: &T) -> &Handed {
        // SAFETY: it lies in the memory of `near`, which is mapped as long as the caller refers to that.
        // All of it is atomic, and any bits are a value.
        unsafe { self.handed.as_ref() }
    }

    /// Whether no process has died or joined since.
    fn is_up_to_date<T>(&self, near: &T) -> bool {
        // Acquire, both: for what follows, a process that has joined holds its record lock, and one
        // that has died has lost it.
        DEATHS.load(Ordering::Acquire) == self.deaths
            && self.handed(near).joined().load(Ordering::Acquire) == self.joined
    }
}

fn at_most(interval: Duration, left: Option<Duration>) -> Duration {
    left.map_or(interval, |left| left.min(interval))
}

#[cfg(not(any(test, feature = "crash-points")))]
fn watched_recheck_interval() -> Duration {
    WATCHED_RECHECK_INTERVAL
}

/// With `MILLPOND_RECHECK=never`, only a death that is noticed ends a sleep: for tests.
#[cfg(any(test, feature = "crash-points"))]
fn watched_recheck_interval() -> Duration {
    let never = std::env::var_os("MILLPOND_RECHECK").is_some_and(|value| value == "never");
    if never || NEVER.load(Ordering::Relaxed) {
        Duration::from_secs(1 << 20)
    } else {
        WATCHED_RECHECK_INTERVAL
    }
}

#[cfg(any(test, feature = "crash-points"))]
static NEVER: AtomicBool = AtomicBool::new(false);

/// Has no wait of this process look for the dead that notices deaths, until it hears of one.
#[cfg(test)]
pub(crate) fn never_recheck() {
    NEVER.store(true, Ordering::Relaxed);
}

#[cfg(test)]
#[path = "deaths_tests.rs"]
mod tests;
