//! A lock among the threads of one process, which a fork cannot leave locked.
//!
//! A child that was forked while another thread of its parent held the lock finds it held by a
//! process that is not itself. What is behind it may then be half changed: the child forgets it
//! (its memory is leaked, in the child alone) and starts with an empty one.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem;

use crate::os::fork::{Owner, give_way};
use crate::sync::atomic::{AtomicU64, Ordering};

const UNLOCKED: u64 = 0;

/// A value for one thread at a time, for as long as a few instructions take.
pub(crate) struct Local<T> {
    /// The process whose thread has the value.
    holder: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: the value is accessed by the thread that moved `holder` away from UNLOCKED alone.
unsafe impl<T: Send> Sync for Local<T> {}

impl<T> Local<T> {
    /// A lock with a value behind it.
    pub(crate) const fn new(value: T) -> Self {
        Self { holder: AtomicU64::new(UNLOCKED), value: UnsafeCell::new(value) }
    }
}

impl<T: Default> Local<T> {
    /// Lets `use_it` have the value. It must not wait, fork or use this lock again.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        struct Unlock<'a>(&'a AtomicU64);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                // Release: the next holder sees what this one did to the value.
                self.0.store(UNLOCKED, Ordering::Release);
            }
        }

        let me = Owner::current().bits();
        let before = self.acquire(me);
        let unlock = Unlock(&self.holder);
        // SAFETY: this thread holds the lock until `unlock` is dropped.
        let value = unsafe { &mut *self.value.get() };
        if before != UNLOCKED {
            mem::forget(mem::take(value));
        }
        let result = use_it(value);
        drop(unlock);
        result
    }

    /// Lets `use_it` have the value, as [`with`](Self::with) does, and keeps the lock.
    pub(crate) fn hold<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        let before = self.acquire(Owner::current().bits());
        // SAFETY: this thread holds the lock.
        let value = unsafe { &mut *self.value.get() };
        if before != UNLOCKED {
            mem::forget(mem::take(value));
        }
        use_it(value)
    }

    /// Lets `use_it` have the value and releases the lock.
    ///
    /// # Safety
    /// The calling thread has called [`hold`](Self::hold) since, or was forked by the one that had.
    pub(crate) unsafe fn release<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller promises that the lock is held for it.
        let result = use_it(unsafe { &mut *self.value.get() });
        // Release: the next holder sees what this one did to the value.
        self.holder.store(UNLOCKED, Ordering::Release);
        result
    }

    /// Takes the lock, and returns its holder before: none, or a thread that this process does not
    /// have.
    fn acquire(&self, me: u64) -> u64 {
        let mut turns = 0;
        loop {
            let holder = self.holder.load(Ordering::Relaxed);
            // Acquire: what the holder before did to the value is visible here.
            let (won, lost) = (Ordering::Acquire, Ordering::Relaxed);
            if holder != me && self.holder.compare_exchange(holder, me, won, lost).is_ok() {
                return holder;
            }
            give_way(&mut turns);
        }
    }
}

impl<T: Default> Default for Local<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fork;
    use crate::os::pidfd::PidFd;

    #[test]
    fn threads_take_turns() {
        let counter = Local::<u64>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.with(|n| *n += 1)));
            }
        });
        assert_eq!(counter.with(|n| *n), 4000);
    }

    #[test]
    fn a_child_of_the_holder_may_release_it() {
        let value = Local::<u64>::default();
        value.hold(|n| *n = 7);
        // SAFETY: the child uses atomics and ends. Both hold the lock.
        let child = match unsafe { fork::fork() }.expect("fork") {
            fork::Forked::Child => {
                // SAFETY: the parent called `hold` before it forked.
                unsafe { value.release(|n| *n += 1) };
                fork::exit_now(i32::from(value.with(|n| *n) != 8))
            }
            fork::Forked::Parent(pid) => PidFd::open(pid).expect("child"),
        };
        // SAFETY: it is held since above.
        unsafe { value.release(|_| ()) };
        assert!(child.reap().expect("status").success());
        assert_eq!(value.with(|n| *n), 7);
    }

    #[test]
    fn a_child_forked_while_it_was_held_starts_with_an_empty_value() {
        let value = Local::<u64>::default();
        let status = value.with(|n| {
            *n = 7;
            // SAFETY: the child uses atomics and ends.
            match unsafe { fork::fork() }.expect("fork") {
                fork::Forked::Child => fork::exit_now(i32::from(value.with(|n| *n) != 0)),
                fork::Forked::Parent(pid) => PidFd::open(pid).expect("child").reap(),
            }
        });
        assert!(status.expect("status").success());
        assert_eq!(value.with(|n| *n), 7);
    }
}
