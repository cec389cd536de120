//! The waiters of a queue: an event count on which consumers that found it empty, or producers that
//! found it full, sleep.
//!
//! ```text
//! 31                  1  0
//! │ count of changes    │ SLEEPERS │
//!
//! waiter                                    committer
//!   add 1 to the count and set SLEEPERS       commit
//!   ── fence ──                               ── fence ──
//!   look whether there is something           SLEEPERS? no: done
//!   sleep on the value that was set           add 1 to the count, wake as many as there is for
//!                                             fewer woke: clear SLEEPERS if the word is unchanged
//! ```
//!
//! Of the two fences one comes first: either the waiter sees the commit, or the committer sees
//! SLEEPERS. So a commit costs one fence and one load while none sleeps (the exchange that gives
//! a guard back may serve as the fence), and no waiter that is awake is woken. Every registration
//! changes the word, so the waker's exchange that clears SLEEPERS fails if a waiter has registered
//! meanwhile; a waiter that has registered and does not sleep yet finds the word
//! changed by the waker.
//!
//! **Deaths.** A waiter that dies leaves SLEEPERS, which costs one futile wake. A waker that dies
//! before it woke, or a woken one that dies before it took, leaves others asleep until they notice
//! its death.

use crate::channel::queue::side::SideGuard;
use crate::crash::crash_point;
use crate::sync::atomic::{AtomicU32, Ordering, fence, fence_behind_exchange, wake};
use crate::sync::deadline::{After, Deadline};

const SLEEPERS: u32 = 1;
const CHANGE: u32 = 2;

/// A place to wait; all zero is a new one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(super) struct Waiters(AtomicU32);

/// A waiter that has registered, and looks once more before it sleeps.
#[derive(Debug)]
pub(super) struct PreparedWait<'a> {
    word: &'a AtomicU32,
    value: u32,
}

impl Waiters {
    /// Says that the caller will sleep. It must look once more before it does.
    pub(super) fn prepare_wait(&self) -> PreparedWait<'_> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let value = word.wrapping_add(CHANGE) | SLEEPERS;
            match self.0.compare_exchange_weak(word, value, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    // See the module: with the committer's fence, one of the two sees the other.
                    fence(Ordering::SeqCst);
                    return PreparedWait { word: &self.0, value };
                }
                Err(now) => word = now,
            }
        }
    }

    /// Wakes up to `count` sleepers, if there are any, after something was committed.
    #[inline]
    pub(super) fn committed(&self, count: u32) {
        // See the module: with the waiter's fence, one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) & SLEEPERS != 0 {
            self.wake(count);
        }
    }

    /// The same for a caller that committed in this guard, which is given back first: giving it
    /// back is an exchange, behind which a fence costs less.
    #[inline]
    pub(super) fn committed_in(&self, guard: SideGuard<'_>, count: u32) {
        drop(guard);
        // See the module: with the waiter's fence, one of the two sees the other.
        fence_behind_exchange();
        if self.0.load(Ordering::Relaxed) & SLEEPERS != 0 {
            self.wake(count);
        }
    }

    #[cold]
    fn wake(&self, count: u32) {
        crash_point!("queue: before wake");
        // Relaxed: the kernel orders a wake with the sleep that it ends, and the woken look again
        // at words that they acquire.
        let bumped = self.0.fetch_add(CHANGE, Ordering::Relaxed).wrapping_add(CHANGE);
        if wake(&self.0, count) < count {
            let calm = bumped & !SLEEPERS;
            let _ = self.0.compare_exchange(bumped, calm, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Wakes all waiters, so that they look again.
    pub(super) fn wake_all(&self) {
        self.committed(u32::MAX);
    }
}

impl PreparedWait<'_> {
    /// Sleeps until a commit, or as `deadline` says.
    pub(super) fn sleep(self, deadline: &mut Deadline) -> After {
        crash_point!("queue: before sleep");
        deadline.sleep(self.word, self.value)
    }
}
