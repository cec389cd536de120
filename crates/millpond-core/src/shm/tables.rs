//! Tables of what a process knows of its own shared memory. Each lies in the file that it is about;
//! there is one lock for all of them.
//!
//! A fork may happen at any time, in any thread; its child must find the tables whole and unlocked. So
//! their lock is taken before every fork and released after it on both sides.

use std::cell::{Cell, UnsafeCell};
use std::mem::{self, ManuallyDrop};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::os::fork::{around_forks, give_way};

static HELD: AtomicBool = AtomicBool::new(false);
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);
/// How often this process has forked.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// How many forks lie between this process and its oldest ancestor.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static BEFORE_FORKS: Table<Option<fn(&mut Guard)>> = Table::new();

/// A table that forked children inherit.
pub(crate) struct Table<T>(UnsafeCell<Option<T>>);

// SAFETY: only the thread that holds the lock accesses the cell.
unsafe impl<T: Send> Sync for Table<T> {}

impl<T: Default> Table<T> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Its content.
    pub(crate) fn of<'a>(&'static self, _: &'a mut Guard) -> &'a mut T {
        // SAFETY: there is one guard at a time, and it is borrowed mutably as long as the content.
        unsafe { (*self.0.get()).get_or_insert_default() }
    }
}

/// A table of what the process itself has made; a forked child finds it empty.
pub(crate) struct OwnTable<T>(Table<(u64, Vec<T>)>);

impl<T> OwnTable<T> {
    pub(crate) const fn new() -> Self {
        Self(Table::new())
    }

    /// Its content.
    pub(crate) fn of<'a>(&'static self, guard: &'a mut Guard) -> &'a mut Vec<T> {
        let (generation, content) = self.0.of(guard);
        // Relaxed: only the thread that survived a fork, and its successors, see another one.
        let here = GENERATION.load(Ordering::Relaxed);
        if mem::replace(generation, here) != here {
            // Leaked, not dropped: dropping a region takes the lock that is held here, and the memory
            // stays mapped in the processes that inherited it anyway.
            mem::take(content).into_iter().for_each(mem::forget);
        }
        content
    }
}

/// Access to the tables, until it is dropped. Nothing that may fork, wait or drop a
/// [`Region`](crate::shm::region::Region) happens meanwhile.
pub(crate) struct Guard(());

/// Locks the tables.
pub(crate) fn lock() -> Guard {
    // Registered before any thread locks, for a child that was forked meanwhile would find the tables
    // locked for ever. A second registration by a racing thread does no harm. Acquire and release: a
    // thread that sees it noted has it.
    if !FORKS_ARE_SEEN.load(Ordering::Acquire) {
        around_forks(Some(before_fork), Some(after_fork), Some(in_child));
        FORKS_ARE_SEEN.store(true, Ordering::Release);
    }
    acquire();
    Guard(())
}

impl Guard {
    /// Has `act` done before each fork, while the tables are locked.
    pub(crate) fn before_forks(&mut self, act: fn(&mut Self)) {
        *BEFORE_FORKS.of(self) = Some(act);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        release();
    }
}

/// How often this process has forked. What was made at one count and is used at another may have
/// been inherited by a child.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

fn acquire() {
    // Acquire and release: what one holder wrote to the tables is visible to the next.
    let mut turns = 0;
    while HELD.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        give_way(&mut turns);
    }
}

fn release() {
    HELD.store(false, Ordering::Release);
}

thread_local! {
    /// How many of the registered handlers have the tables locked for the fork of this thread.
    static FORKING: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn before_fork() {
    if FORKING.replace(FORKING.get() + 1) > 0 {
        return;
    }
    acquire();
    FORKS.fetch_add(1, Ordering::Relaxed);
    // Not dropped: `after_fork` and `in_child` release the tables.
    let mut guard = ManuallyDrop::new(Guard(()));
    if let Some(act) = *BEFORE_FORKS.of(&mut guard) {
        act(&mut guard);
    }
}

extern "C" fn after_fork() {
    if FORKING.replace(FORKING.get() - 1) == 1 {
        release();
    }
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    after_fork();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fork::{Forked, exit_now, fork};
    use crate::os::pidfd::PidFd;

    #[test]
    fn threads_that_register_at_the_same_time_do_no_harm() {
        drop(lock());
        around_forks(Some(before_fork), Some(after_fork), Some(in_child));
        // SAFETY: the child uses the tables, which are whole, and ends.
        let child = match unsafe { fork() }.expect("fork") {
            Forked::Child => {
                drop(lock());
                exit_now(0)
            }
            Forked::Parent(pid) => PidFd::open(pid).expect("child"),
        };
        drop(lock());
        assert!(child.reap().expect("status").success());
    }
}
