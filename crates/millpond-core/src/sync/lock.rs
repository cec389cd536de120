//! The lock: a mutex without data. One thread of one process holds it; any thread of any process
//! may release it.

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::shared::{Holdable, SharedObject};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::outcome::{LastLook, Misuse};
use crate::sync::poison::{Hold, Poison};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::spin::with_thread_spin;
use crate::sync::thread::{is_of, thread_id};

/// A lock in shared memory. All zero is a free one.
///
/// Like `multiprocessing.Lock`, and unlike a mutex, it may be released by another thread or process
/// than the one that acquired it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Lock {
    word: RobustWord,
    /// Which thread of the holder; it only says something while the word names this process.
    thread: AtomicU64,
    poison: Poison,
    /// When a call that does not wait last checked whether the owner lives.
    looked: LastLook,
}

// SAFETY: all of it atomic, zero is a free lock, and any bits are some state of it.
unsafe impl SharedObject for Lock {
    const KIND: u32 = u32::from_le_bytes(*b"lock");

    fn as_holdable(&self) -> Option<&dyn Holdable> {
        Some(self)
    }
}

impl Holdable for Lock {
    fn is_held_by(&self, process: ProcessId) -> bool {
        // One that is about to have it, or to give it back, has not noted its thread.
        self.word.holder() == Some(process) && is_of(self.thread.load(Ordering::Relaxed), process)
    }

    fn keep(&self, me: ProcessId) {
        if self.is_held_by(me) {
            self.word.keep(me);
        }
    }
}

impl Lock {
    /// Acquires the lock if it is free.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        let me = ProcessId::current();
        let taken = self.word.try_take(me);
        if taken {
            self.note_thread(me);
        }
        taken
    }

    /// Acquires the lock if it is free, or its owner is dead; [`Taken::TimedOut`] if not.
    ///
    /// A call in 50 milliseconds looks whether the owner lives.
    pub fn attempt(&self) -> Taken {
        if self.try_acquire() {
            return Taken::Clean;
        }
        if !self.looked.is_due() {
            return Taken::TimedOut;
        }
        let me = ProcessId::current();
        let taken = self.word.take_from_dead(me);
        if taken != Taken::TimedOut {
            self.note_thread(me);
        }
        taken
    }

    /// Waits for the lock until `deadline`, for ever without one.
    ///
    /// After [`Taken::OwnerDied`] the caller holds the lock, and what it guards may be half changed.
    #[inline]
    pub fn acquire(&self, deadline: Option<Instant>) -> Taken {
        if self.try_acquire() {
            return Taken::Clean;
        }
        let me = ProcessId::current();
        let taken = with_thread_spin(|spin| self.word.take_lock(me, spin, deadline));
        if let Taken::Clean | Taken::OwnerDied(_) = taken {
            self.note_thread(me);
        }
        taken
    }

    #[cfg(test)]
    pub(crate) fn word(&self) -> &RobustWord {
        &self.word
    }

    #[inline]
    fn note_thread(&self, me: ProcessId) {
        crash_point!("lock: taken");
        // Relaxed: read by the thread that wrote it, or for show.
        self.thread.store(thread_id(me), Ordering::Relaxed);
    }

    /// Releases the lock; the caller need not be the thread or the process that holds it.
    ///
    /// # Errors
    /// [`Misuse::NotHeld`].
    #[inline]
    pub fn release(&self) -> Result<(), Misuse> {
        let holder = self.word.holder().ok_or(Misuse::NotHeld)?;
        // Before the word is free: the next thread of this process that takes it has not written
        // its own thread id yet.
        self.thread.store(0, Ordering::Relaxed);
        crash_point!("lock: before release");
        // Another may have released it since, and a third may hold it by now.
        self.word.release_of(holder).map_err(|_| Misuse::NotHeld)
    }

    /// Waits for the lock until `deadline`, for ever without one, whatever signals come.
    #[inline]
    pub fn hold(&self, deadline: Option<Instant>) -> Hold {
        self.poison.judge(|| self.acquire(deadline))
    }

    /// Acquires the lock if it is free, or if its holder is found dead.
    #[inline]
    pub fn try_hold(&self) -> Hold {
        self.poison.judge(|| self.attempt())
    }

    /// Releases the lock if the calling thread holds it, for which another may have released it;
    /// it is `poisoned` for the next if the caller says so.
    #[inline]
    pub fn let_go(&self, poisoned: bool) {
        if !self.is_mine() {
            return;
        }
        if poisoned {
            self.poison.set(ProcessId::current());
        }
        let _ = self.release();
    }

    /// The process that holds the lock at this moment.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        self.word.holder()
    }

    /// Whether the calling thread holds the lock.
    #[must_use]
    #[inline]
    pub fn is_mine(&self) -> bool {
        let me = ProcessId::current();
        self.word.holder() == Some(me) && self.thread.load(Ordering::Relaxed) == thread_id(me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::shared::Shared;
    use crate::sync::testing::{Child, far, sleep_for_ever, until};

    #[test]
    fn a_process_that_does_not_wait_learns_of_the_owners_death_too() {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        assert_eq!(lock.attempt(), Taken::Clean);
        lock.release().expect("held");
        let owner = Child::run(|| {
            assert!(lock.try_acquire());
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        assert_eq!(lock.attempt(), Taken::TimedOut);
        owner.kill();
        // It looks from time to time.
        until(|| matches!(lock.attempt(), Taken::OwnerDied(_)));
    }

    #[test]
    fn anybody_may_release_what_is_held() {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        assert_eq!(lock.release(), Err(Misuse::NotHeld));
        assert!(lock.try_acquire() && lock.is_mine() && !lock.try_acquire());
        Child::run(|| lock.release().expect("held by the parent")).join();
        assert_eq!(lock.holder(), None);
        assert_eq!(lock.acquire(far()), Taken::Clean);
    }

    #[test]
    fn the_next_one_learns_of_the_owners_death_once() {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let owner = Child::run(|| {
            assert!(lock.try_acquire());
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        let pid = lock.holder().expect("held").pid();
        owner.kill();
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(dead) if dead.pid() == pid));
        lock.release().expect("held");
        assert_eq!(lock.acquire(far()), Taken::Clean);
    }

    #[test]
    fn a_forked_child_is_not_the_owner() {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let seen = Shared::<Lock>::zeroed().expect("memory");
        assert!(lock.try_acquire());
        Child::run(|| {
            if !lock.is_mine() {
                seen.try_acquire();
            }
        })
        .join();
        assert!(seen.holder().is_some());
    }
}
