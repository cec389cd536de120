//! `Side`, one side of a queue: a guard that admits one producer, or one consumer, at a time, and
//! the count and position that its holder commits.
//!
//! ```text
//! word:      63                 1 0
//!            │ items so far      │ parity │     one release store commits any number of items
//! positions: [where that is when parity is 0, … 1]
//! ```
//!
//! The guard's holder writes the new position to the entry that the old parity does not select,
//! then stores the word. So a holder that dies leaves the state before, or the state after.

use crate::channel::queue::position::Position;
use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::spin::with_thread_spin;

/// A side; all zero is one without items.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Side {
    guard: RobustWord,
    positions: [AtomicU64; 2],
    /// What the other side's count was when a holder of this guard last looked: so the other
    /// side's cache line is touched only when this says that there is nothing to do.
    seen: AtomicU64,
    commits: Commits,
}

/// The word, on a cache line of its own: the other side polls it.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Commits(AtomicU64);

/// The guard of a side, given back when dropped.
pub(super) struct SideGuard<'a> {
    side: &'a Side,
    me: ProcessId,
    /// Whether the last holder died with it. Its traces are to be removed first.
    pub(super) died: bool,
}

/// Why a side could not be entered.
pub(super) enum NotEntered {
    TimedOut,
    Interrupted,
}

/// What a side stands at.
#[derive(Clone, Copy)]
pub(super) struct Snapshot {
    pub(super) count: u64,
    pub(super) position: Position,
}

impl Side {
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }

    /// Enters the side, to change it.
    #[inline]
    pub(super) fn enter(&self, deadline: Option<Instant>) -> Result<SideGuard<'_>, NotEntered> {
        match self.enter_at_once() {
            Some(guard) => Ok(guard),
            None => self.enter_slowly(ProcessId::current(), deadline),
        }
    }

    /// Enters the side if its guard is free: no process, dead or alive, holds it.
    #[inline]
    pub(super) fn enter_at_once(&self) -> Option<SideGuard<'_>> {
        let me = ProcessId::current();
        if self.guard.try_take(me) { Some(SideGuard { side: self, me, died: false }) } else { None }
    }

    #[cold]
    fn enter_slowly(
        &self,
        me: ProcessId,
        deadline: Option<Instant>,
    ) -> Result<SideGuard<'_>, NotEntered> {
        let died = match with_thread_spin(|spin| self.guard.take(me, spin, deadline)) {
            Taken::Clean => false,
            Taken::OwnerDied(_) => true,
            Taken::TimedOut => return Err(NotEntered::TimedOut),
            Taken::Interrupted => return Err(NotEntered::Interrupted),
        };
        Ok(SideGuard { side: self, me, died })
    }

    /// Whether the guard's holder is dead. The next process to enter learns of that death.
    pub(super) fn holder_is_dead(&self) -> bool {
        self.guard.holder().is_some_and(|holder| !lives(holder, self))
    }

    /// Where it stood a moment ago.
    pub(super) fn glance(&self) -> Position {
        let word = self.commits.0.load(Ordering::Relaxed);
        Position::from_raw(self.positions[(word & 1) as usize].load(Ordering::Relaxed))
    }

    /// How many items it has put, or taken.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        // Acquire: what was written before the commit is visible.
        self.commits.0.load(Ordering::Acquire) >> 1
    }
}

impl SideGuard<'_> {
    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        // Relaxed: the guard orders this side's words.
        let word = self.side.commits.0.load(Ordering::Relaxed);
        let position = &self.side.positions[(word & 1) as usize];
        let position = Position::from_raw(position.load(Ordering::Relaxed));
        Snapshot { count: word >> 1, position }
    }

    /// The other side's count as it was when it was last looked at.
    #[inline]
    pub(super) fn seen(&self) -> u64 {
        // Relaxed: what the count stands for was acquired by the holder that looked, and its
        // release of the guard passed that on.
        self.side.seen.load(Ordering::Relaxed)
    }

    /// Looks at the other side's count.
    #[inline]
    pub(super) fn look(&self, other: &Side) -> u64 {
        let count = other.count();
        self.side.seen.store(count, Ordering::Relaxed);
        count
    }

    /// Makes the side stand there.
    #[inline]
    pub(super) fn commit(&self, count: u64, position: Position) {
        let parity = !self.side.commits.0.load(Ordering::Relaxed) & 1;
        self.side.positions[parity as usize].store(position.raw(), Ordering::Relaxed);
        crash_point!("queue: position is written");
        // Release: the items that are put are visible before their count is, and the reads of
        // those taken are over.
        self.side.commits.0.store(count << 1 | parity, Ordering::Release);
        crash_point!("queue: committed");
    }
}

impl Drop for SideGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.side.guard.release(self.me);
    }
}
