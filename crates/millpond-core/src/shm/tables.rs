//! What a process knows of its own shared memory: regions by identity, slabs with room, what it may
//! hold.
//!
//! A fork may happen at any time, in any thread; its child must find these tables whole and
//! unlocked. So their lock is taken before every fork and released after it on both sides.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::os::fork::around_forks;
use crate::shm::holdings::Holdings;
use crate::shm::presence::{Claim, Present};
use crate::shm::region::Region;
use crate::shm::slab::Slab;
use crate::shm::sole_user;

/// The tables, behind their lock.
#[derive(Default)]
pub(crate) struct Tables {
    /// All regions that are mapped here.
    pub(crate) regions: HashMap<u64, Weak<Region>>,
    /// Slabs that this process made and that have room, one of each slot size.
    pub(crate) slabs: Vec<Slab>,
    /// Regions kept for those who were sent a ticket.
    pub(crate) travelling: Vec<Arc<Region>>,
    /// Memory that this process is present in, and what it is present in though it is not mapped.
    pub(crate) present: Vec<Present>,
    pub(crate) staying: HashMap<(u64, u64), Arc<Claim>>,
    /// What has to be looked at when this process ends.
    pub(crate) holdings: Holdings,
}

struct Locked {
    held: AtomicBool,
    tables: UnsafeCell<Option<Tables>>,
}

// SAFETY: the cell is accessed by whoever holds `held` alone.
unsafe impl Sync for Locked {}

static LOCKED: Locked = Locked { held: AtomicBool::new(false), tables: UnsafeCell::new(None) };
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The tables, until it is dropped. Nothing that may fork, wait or drop a [`Region`] happens
/// meanwhile.
pub(crate) struct Guard(());

/// Locks the tables.
pub(crate) fn lock() -> Guard {
    // Relaxed: registering twice would deadlock in the first handler, so only the one that turns
    // the flag does; a fork by another thread before that is one that came before.
    if !FORKS_ARE_SEEN.swap(true, Ordering::Relaxed) {
        around_forks(Some(before_fork), Some(after_fork), Some(in_child));
    }
    acquire();
    Guard(())
}

/// How often this process has forked. What was made at one count and is used at another may have
/// been inherited by a child.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

fn acquire() {
    // Acquire and release: what one holder wrote to the tables is visible to the next.
    while LOCKED.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        rustix::thread::sched_yield();
    }
}

fn release() {
    LOCKED.held.store(false, Ordering::Release);
}

extern "C" fn before_fork() {
    acquire();
    FORKS.fetch_add(1, Ordering::Relaxed);
    // Not dropped: `after_fork` and `in_child` release the tables.
    let mut guard = ManuallyDrop::new(Guard(()));
    sole_user::before_fork(&mut guard);
}

extern "C" fn after_fork() {
    release();
}

extern "C" fn in_child() {
    // The slabs are the parent's to allocate from, and so are the tickets that it sent. They are
    // dropped at the next use; see `Tables::disown`.
    INHERITED.store(true, Ordering::Relaxed);
    release();
}

static INHERITED: AtomicBool = AtomicBool::new(false);

impl Deref for Guard {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        // SAFETY: this guard holds the lock, and the cell is filled by `deref_mut` below.
        unsafe { (*LOCKED.tables.get()).get_or_insert_default() }
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Tables {
        // SAFETY: this guard holds the lock, and is borrowed mutably.
        let tables = unsafe { (*LOCKED.tables.get()).get_or_insert_default() };
        // Relaxed: only the thread that survived the fork, and its successors, see it set.
        if INHERITED.swap(false, Ordering::Relaxed) {
            tables.disown();
        }
        tables
    }
}

impl Tables {
    /// Forgets what the parent of this process owned. Leaked, not dropped: dropping a region takes
    /// the lock that is held here, and the memory stays mapped for whoever inherited it anyway.
    fn disown(&mut self) {
        std::mem::take(&mut self.slabs).into_iter().for_each(std::mem::forget);
        std::mem::take(&mut self.travelling).into_iter().for_each(std::mem::forget);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        release();
    }
}
