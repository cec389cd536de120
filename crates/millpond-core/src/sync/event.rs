//! The event: a flag in shared memory; any number of threads wait until it is set.
//!
//! ```text
//! 31                2  1     0
//! │ count of settings │ SET │ SLEEPERS │
//! ```
//!
//! One word, and no handshake: `set` counts up, clears SLEEPERS and wakes all sleepers. A wait ends
//! when the flag is set or the count differs from that at its start, so `set` followed at once by
//! `clear` still ends all waits that had begun. If the setter dies between the exchange and the
//! wake-up, the sleepers notice its death and look at the word.

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::os::identity::ProcessId;
use crate::shm::shared::SharedObject;
use crate::sync::atomic::{AtomicU32, Ordering, wake};
use crate::sync::deadline::{After, Deadline};
use crate::sync::spin::with_thread_spin;

const SLEEPERS: u32 = 1;
const SET: u32 = 2;
const SETTING: u32 = 4;

/// An event in shared memory. All zero is one that is not set.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Event(AtomicU32);

/// How often an [`Event`] had been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings(u32);

// SAFETY: one atomic word, any bits of which are some state of it.
unsafe impl SharedObject for Event {
    const KIND: u32 = u32::from_le_bytes(*b"evnt");
}

impl Event {
    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // Acquire: what the setter did before is visible to a caller that sees the event set.
        self.0.load(Ordering::Acquire) & SET != 0
    }

    /// Sets it and ends all waits.
    pub fn set(&self) {
        // A sleeper notices this process' death only if the process is present.
        let _ = ProcessId::current();
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & SET != 0 {
                // Release all the same: a waiter that sees it set sees what this caller did before.
                match self.0.compare_exchange_weak(word, word, Ordering::Release, Ordering::Relaxed)
                {
                    Ok(_) => return,
                    Err(now) => word = now,
                }
                continue;
            }
            let next = (word & !SLEEPERS).wrapping_add(SETTING) | SET;
            // Release: as above.
            match self.0.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        crash_point!("event: set, before wake");
        if word & SLEEPERS != 0 {
            wake(&self.0, u32::MAX);
        }
    }

    /// Takes the flag back.
    pub fn clear(&self) {
        // Relaxed: no waiter acts on a flag that is not set.
        self.0.fetch_and(!SET, Ordering::Relaxed);
    }

    /// Waits until it is set, or was since the call, or until `deadline`: whether it was; `Err` if
    /// a signal handler ran.
    ///
    /// # Errors
    /// [`Woken::Interrupted`] alone.
    pub fn wait(&self, deadline: Option<Instant>) -> Result<bool, Woken> {
        self.wait_since(self.listen(), deadline)
    }

    /// How often it has been set, to wait for it in several turns with
    /// [`wait_since`](Self::wait_since).
    #[must_use]
    pub fn listen(&self) -> Settings {
        // Relaxed: the wait acquires the setting before its caller acts on it.
        Settings(self.0.load(Ordering::Relaxed) & !(SLEEPERS | SET))
    }

    /// Like [`wait`](Self::wait), for a call that began when `seen` was listened to.
    ///
    /// # Errors
    /// [`Woken::Interrupted`] alone.
    pub fn wait_since(&self, seen: Settings, deadline: Option<Instant>) -> Result<bool, Woken> {
        let Settings(came) = seen;
        if self.is_set() {
            return Ok(true);
        }
        let mut deadline = Deadline::new(deadline);
        // Acquire: as in `is_set`.
        let word = || self.0.load(Ordering::Acquire);
        let through = |word: u32| word & SET != 0 || word & !(SLEEPERS | SET) != came;
        with_thread_spin(|spin| {
            loop {
                spin.until(|| through(word()));
                let now = word();
                if through(now) {
                    return Ok(true);
                }
                // Relaxed: the flag guards no data; on failure the loop looks again.
                let asleep = now | SLEEPERS;
                let marked =
                    self.0.compare_exchange(now, asleep, Ordering::Relaxed, Ordering::Relaxed);
                if marked.is_err() {
                    continue;
                }
                crash_point!("event: before sleep");
                match deadline.sleep(&self.0, asleep) {
                    After::Look | After::LookForDead => {}
                    After::GiveUp => return Ok(through(word())),
                    After::Interrupted => return Err(Woken::Interrupted),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::shared::Shared;
    use crate::sync::testing::{Child, far, until};

    #[test]
    fn a_setting_between_two_turns_of_a_wait_counts() {
        let event = Event::default();
        let seen = event.listen();
        assert_eq!(event.wait_since(seen, Some(Instant::now())), Ok(false));
        event.set();
        event.clear();
        assert_eq!(event.wait_since(seen, Some(Instant::now())), Ok(true));
        assert_eq!(event.wait(Some(Instant::now())), Ok(false));
    }

    #[test]
    fn all_who_wait_get_through() {
        let event = Shared::<Event>::zeroed().expect("memory");
        let through = Shared::<Event>::zeroed().expect("memory");
        let children: Vec<_> =
            (0..3).map(|_| Child::run(|| assert_eq!(event.wait(far()), Ok(true)))).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(event.wait(far()), Ok(true));
                through.set();
            });
            event.set();
        });
        children.into_iter().for_each(Child::join);
        assert!(through.is_set());
        event.clear();
        assert_eq!(event.wait(Some(Instant::now())), Ok(false));
    }

    #[test]
    fn a_setting_that_is_cleared_at_once_is_seen_by_who_waited() {
        let event = Shared::<Event>::zeroed().expect("memory");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait(far()));
            until(|| event.0.load(Ordering::Relaxed) & SLEEPERS != 0);
            event.set();
            event.clear();
            assert_eq!(waiter.join().expect("no panic"), Ok(true));
        });
    }

    #[test]
    fn a_dead_waiter_is_no_hindrance() {
        let event = Shared::<Event>::zeroed().expect("memory");
        let waiter = Child::run(|| {
            _ = event.wait(None);
        });
        until(|| event.0.load(Ordering::Relaxed) & SLEEPERS != 0);
        waiter.kill();
        event.set();
        assert_eq!(event.wait(far()), Ok(true));
    }
}
