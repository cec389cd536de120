//! The reentrant lock: the thread that owns it may acquire it again, and no other may release it.

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

/// How long [`RLock::briefly`] pauses between looks; a pause of a processor is 10 to 40 ns.
const PAUSES: [u32; 3] = [16, 32, 64];

/// A reentrant lock in shared memory. All zero is a free one.
///
/// Thread and count are written by the owner alone, between taking the word and giving it back, so
/// the death of an owner leaves nothing to repair: the next one writes its own.
#[derive(Debug, Default)]
#[repr(C)]
pub struct RLock {
    word: RobustWord,
    /// The owner's thread, 0 while none is known; a dead owner's stays.
    thread: AtomicU64,
    /// How often the owner has acquired it.
    count: AtomicU64,
    poison: Poison,
    /// When a call that does not wait last checked whether the owner lives.
    looked: LastLook,
}

// SAFETY: all of it atomic, zero is a free lock, and any bits are some state of it.
unsafe impl SharedObject for RLock {
    const KIND: u32 = u32::from_le_bytes(*b"rlck");

    fn as_holdable(&self) -> Option<&dyn Holdable> {
        Some(self)
    }
}

impl Holdable for RLock {
    fn is_held_by(&self, process: ProcessId) -> bool {
        // One that is about to have it, or to give it back, has not noted its thread, nor has one
        // that is brief.
        self.word.holder() == Some(process) && is_of(self.thread.load(Ordering::Relaxed), process)
    }

    fn keep(&self, me: ProcessId) {
        if self.is_held_by(me) {
            self.word.keep(me);
        }
    }
}

impl RLock {
    /// Acquires the lock if it is free or the caller's.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        if self.is_mine() {
            // Relaxed: thread and count are the owner's own.
            let again = self.count.load(Ordering::Relaxed).wrapping_add(1);
            self.count.store(again, Ordering::Relaxed);
            return true;
        }
        let taken = self.word.try_take(ProcessId::current());
        if taken {
            self.own(1);
        }
        taken
    }

    /// Calls the function, which neither waits nor panics, with the lock held, if it is free or the
    /// caller's, or comes free within a microsecond or two: for what takes less time than to wait.
    ///
    /// The word alone says that the lock is held: thread and count serve an owner that
    /// acquires again.
    #[inline]
    pub fn briefly<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        let me = ProcessId::current();
        let taken = self.word.try_take(me) || self.take_after_pauses(me);
        if !taken && !self.is_mine() {
            return None;
        }
        crash_point!("rlock: taken briefly");
        let result = call();
        if taken {
            self.word.release(me);
        }
        Some(result)
    }

    /// Looks ever more rarely. A word that goes back and forth between two cores costs each of them
    /// several turns of its own; so the other one is better left to do some at a stretch.
    #[inline(never)]
    fn take_after_pauses(&self, me: ProcessId) -> bool {
        // Another thread of this process may need what the caller keeps from it, to let go.
        if self.word.holder() == Some(me) {
            return false;
        }
        PAUSES.into_iter().any(|pauses| {
            (0..pauses).for_each(|_| std::hint::spin_loop());
            self.word.holder().is_none() && self.word.try_take(me)
        })
    }

    /// Acquires the lock if it is free or the caller's, or its owner is dead; [`Taken::TimedOut`] if not.
    ///
    /// A call in 50 milliseconds looks whether the owner lives.
    pub fn attempt(&self) -> Taken {
        if self.try_acquire() {
            return Taken::Clean;
        }
        if !self.looked.is_due() {
            return Taken::TimedOut;
        }
        let taken = self.word.take_from_dead(ProcessId::current());
        if taken != Taken::TimedOut {
            self.own(1);
        }
        taken
    }

    /// Waits for the lock until `deadline`, for ever without one.
    ///
    /// After [`Taken::OwnerDied`] the caller holds the lock once, and what it guards may be half
    /// changed.
    #[inline]
    pub fn acquire(&self, deadline: Option<Instant>) -> Taken {
        if self.try_acquire() { Taken::Clean } else { self.take(1, deadline) }
    }

    /// Waits for the lock until `deadline`, for ever without one, whatever signals come.
    #[inline]
    pub fn hold(&self, deadline: Option<Instant>) -> Hold {
        if self.is_mine() {
            // Poison is for the next owner, and the caller is the present one.
            return self.try_acquire().then_some(Ok(()));
        }
        self.poison.judge(|| self.acquire(deadline))
    }

    /// Acquires the lock if it is free or the caller's, or if its holder is found dead.
    #[inline]
    pub fn try_hold(&self) -> Hold {
        if self.is_mine() {
            return self.try_acquire().then_some(Ok(()));
        }
        self.poison.judge(|| self.attempt())
    }

    /// Releases the lock once if it is the caller's; it is `poisoned` for the next owner if the
    /// caller says so.
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

    fn take(&self, count: u64, deadline: Option<Instant>) -> Taken {
        let me = ProcessId::current();
        let taken = with_thread_spin(|spin| self.word.take_lock(me, spin, deadline));
        if let Taken::Clean | Taken::OwnerDied(_) = taken {
            self.own(count);
        }
        taken
    }

    #[inline]
    fn own(&self, count: u64) {
        crash_point!("rlock: taken");
        self.count.store(count, Ordering::Relaxed);
        crash_point!("rlock: counted");
        self.thread.store(thread_id(ProcessId::current()), Ordering::Relaxed);
    }

    /// Releases the lock once.
    ///
    /// # Errors
    /// [`Misuse::NotOwner`] if it is not the caller's.
    #[inline]
    pub fn release(&self) -> Result<(), Misuse> {
        if !self.is_mine() {
            return Err(Misuse::NotOwner);
        }
        match self.count.load(Ordering::Relaxed) {
            0 | 1 => self.disown(),
            several => self.count.store(several - 1, Ordering::Relaxed),
        }
        Ok(())
    }

    #[inline]
    fn disown(&self) {
        // Before the word is free: the next owner writes its own.
        self.thread.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        crash_point!("rlock: before release");
        self.word.release(ProcessId::current());
    }

    /// Releases the lock as often as it was acquired; returns how often that was.
    ///
    /// # Errors
    /// [`Misuse::NotOwner`] if it is not the caller's.
    pub fn release_all(&self) -> Result<u64, Misuse> {
        if !self.is_mine() {
            return Err(Misuse::NotOwner);
        }
        let count = self.count.load(Ordering::Relaxed);
        self.disown();
        Ok(count)
    }

    /// Acquires the lock `count` times at once, as [`release_all`](Self::release_all) left it.
    pub fn reacquire(&self, count: u64, deadline: Option<Instant>) -> Taken {
        if self.word.try_take(ProcessId::current()) {
            self.own(count);
            return Taken::Clean;
        }
        self.take(count, deadline)
    }

    /// Whether the calling thread holds the lock.
    #[must_use]
    #[inline]
    pub fn is_mine(&self) -> bool {
        let me = ProcessId::current();
        self.word.holder() == Some(me) && self.thread.load(Ordering::Relaxed) == thread_id(me)
    }

    /// The process that holds the lock at this moment.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        self.word.holder()
    }

    /// How often the owner has acquired it, 0 while it is free.
    #[must_use]
    pub fn count(&self) -> u64 {
        if self.word.holder().is_some() { self.count.load(Ordering::Relaxed) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::shared::Shared;
    use crate::sync::testing::{Child, far, sleep_for_ever, until};

    #[test]
    fn the_owner_may_come_again_and_others_may_not_release() {
        let lock = Shared::<RLock>::zeroed().expect("memory");
        assert_eq!(lock.release(), Err(Misuse::NotOwner));
        assert!(lock.try_acquire() && lock.try_acquire());
        assert_eq!(lock.count(), 2);
        std::thread::scope(|scope| {
            let other = || (lock.try_acquire(), lock.release());
            let (acquired, released) = scope.spawn(other).join().expect("no panic");
            assert_eq!((acquired, released), (false, Err(Misuse::NotOwner)));
        });
        assert_eq!(lock.release_all(), Ok(2));
        assert_eq!(lock.reacquire(2, far()), Taken::Clean);
        lock.release().expect("held twice");
        lock.release().expect("held once");
        assert_eq!(lock.holder(), None);
    }

    #[test]
    fn what_is_brief_is_done_with_the_lock_held() {
        let lock = Shared::<RLock>::zeroed().expect("memory");
        let me = Some(ProcessId::current());
        assert_eq!(lock.briefly(|| (lock.holder(), lock.count())), Some((me, 0)));
        assert_eq!(lock.holder(), None);
        assert!(lock.try_acquire());
        assert_eq!(lock.briefly(|| lock.count()), Some(1));
        std::thread::scope(|scope| {
            assert_eq!(scope.spawn(|| lock.briefly(|| ())).join().expect("no panic"), None);
        });
        assert_eq!(lock.release_all(), Ok(1));
        let owner = Child::run(|| {
            lock.briefly(sleep_for_ever);
        });
        until(|| lock.holder().is_some());
        assert_eq!(lock.briefly(|| ()), None);
        owner.kill();
        assert_eq!(lock.briefly(|| ()), None);
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
        assert_eq!(lock.count(), 1);
    }

    #[test]
    fn not_one_of_two_that_are_brief_is_lost() {
        let lock = Shared::<RLock>::zeroed().expect("memory");
        // Counted by a load and a store.
        let sum = Shared::<RLock>::zeroed().expect("memory");
        let others = [(); 2].map(|()| {
            Child::run(|| {
                for _ in 0..5000 {
                    let before = || sum.count.load(Ordering::Relaxed);
                    let add = || sum.count.store(before() + 1, Ordering::Relaxed);
                    while lock.briefly(add).is_none() {
                        std::thread::yield_now();
                    }
                }
            })
        });
        others.into_iter().for_each(Child::join);
        assert_eq!(sum.count.load(Ordering::Relaxed), 10_000);
    }

    #[test]
    fn after_a_death_the_count_begins_anew() {
        let lock = Shared::<RLock>::zeroed().expect("memory");
        let owner = Child::run(|| {
            (0..3).for_each(|_| assert!(lock.try_acquire()));
            sleep_for_ever();
        });
        until(|| lock.count() == 3);
        owner.kill();
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
        assert_eq!(lock.count(), 1);
    }
}
