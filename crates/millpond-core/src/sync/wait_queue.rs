//! `WaitQueue`, an event count that admits a given number of waiters, for waits in which each
//! waiter takes one of several equal things, such as permits.
//!
//! ```text
//! 31                  1  0
//! │ count of admissions │ SLEEPERS │
//!
//! waiter                                   notifier
//!   seen = listen()                          publish something to take
//!   look for it; found: through              add 1 to the count, clear SLEEPERS
//!   spin while the count is seen's           SLEEPERS was set: wake as many as there is for
//!   set SLEEPERS, sleep on that value
//!   after a sleep: listen(), `leave`,
//!   and look again
//! ```
//!
//! As with an [event count](crate::sync::event_count), what is published after `listen` changes the
//! count, so no waiter falls asleep over it. Unlike an event count, it does not wake all waiters.
//! So one that has slept sets SLEEPERS again, as others may still sleep, before it looks (what is
//! published after its look wakes one of them), and lets the next through if there was more than it
//! took (the caller knows). A waiter that is woken and dies takes that knowledge with it: then the
//! others find what there is when their recheck interval ends.

use crate::crash::crash_point;
use crate::sync::atomic::{AtomicU32, Ordering, wake};
use crate::sync::deadline::{After, Deadline};
use crate::sync::spin::Spin;

const SLEEPERS: u32 = 1;
const ADMISSION: u32 = 2;

/// A wait queue; all zero is a valid new one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct WaitQueue(AtomicU32);

/// The count of admissions when [`listen`](WaitQueue::listen) was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admissions(u32);

impl WaitQueue {
    /// The count to compare with later. Look for what is wanted after this, then
    /// `wait`.
    #[must_use]
    pub fn listen(&self) -> Admissions {
        // Acquire: what was published before the counted admissions is visible to the look.
        Admissions(self.0.load(Ordering::Acquire) & !SLEEPERS)
    }

    /// Waits for an admission after `seen`: spins as `spin` thinks fit, then sleeps as
    /// `deadline` says.
    pub(crate) fn wait(&self, seen: Admissions, spin: &mut Spin, deadline: &mut Deadline) -> After {
        if spin.until(|| self.listen() != seen) {
            return After::Look;
        }
        let asleep = seen.0 | SLEEPERS;
        // Relaxed: a failed exchange goes back to `listen`, which acquires.
        match self.0.compare_exchange(seen.0, asleep, Ordering::Relaxed, Ordering::Relaxed) {
            Err(now) if now != asleep => After::Look,
            _ => {
                crash_point!("wait queue: before sleep");
                deadline.sleep(&self.0, asleep)
            }
        }
    }

    /// Whether a waiter has set SLEEPERS since the last admission.
    pub(crate) fn has_sleepers(&self) -> bool {
        // Relaxed: a waiter that sets SLEEPERS later is let through by a later admission.
        self.0.load(Ordering::Relaxed) & SLEEPERS != 0
    }

    /// Lets up to `count` waiters through.
    pub fn admit(&self, count: u32) {
        // Release: what the caller published is visible to `listen`.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = (word & !SLEEPERS).wrapping_add(ADMISSION);
            match self.0.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & SLEEPERS != 0 {
            crash_point!("wait queue: admitted, before wake");
            wake(&self.0, count);
        }
    }

    /// Sets SLEEPERS again on behalf of other waiters: the caller, which slept here, was woken, and
    /// others may still sleep. Called between [`listen`](Self::listen) and the look.
    pub fn leave(&self) {
        // Relaxed: the flag guards no data.
        self.0.fetch_or(SLEEPERS, Ordering::Relaxed);
    }
}
