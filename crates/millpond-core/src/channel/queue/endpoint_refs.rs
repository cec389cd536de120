//! The references to one end of a channel: the number of its handles in each process, by which the
//! other end notices that it is gone.
//!
//! A process counts once for each handle that it has; handles on their way in a message count too.
//! A process that finds the number at zero closes the end for good
//! ([`Queue::leave_end`](super::Queue::leave_end), or a waiter that looks for the dead). A queue
//! without ends never closes, since no handle joins.
//!
//! **Deaths.** Each look for the dead takes away the handles of dead processes. A handle that was
//! on its way to a process that died is [recalled](super::Queue::recall_end) by the sender, if it
//! learns of the death. A handle in a message that no consumer will read is recalled by the
//! bindings, when they find that the consumers are gone. A forked child is counted once it uses
//! its copy of a handle; until then only its parent is.

use std::io;

use crate::channel::queue::process_counts::{ProcessCounts, ProcessCountsState};
use crate::crash::crash_point;
use crate::os::clock::monotonic_ns;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::robust::RobustWord;

/// The references to one end; all zero is an end that no handle has ever joined.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct EndpointRefs {
    guard: RobustWord,
    /// 1 once a handle has joined.
    used: AtomicU32,
    /// Handles in messages.
    in_transit: AtomicU32,
    /// When a call that did not wait last looked, in milliseconds of the monotonic clock.
    looked: AtomicU64,
    pub(super) counts: ProcessCountsState,
}

struct Guard<'a>(&'a EndpointRefs, ProcessId);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.guard.release(self.1);
    }
}

// Relaxed throughout: the guard orders what happens under it.
impl EndpointRefs {
    #[cfg(feature = "testing")]
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }

    fn enter(&self) -> Guard<'_> {
        let me = ProcessId::current();
        // A process that died here left consistent counts.
        let _ = self.guard.enter(me);
        Guard(self, me)
    }

    pub(super) fn join(&self, counts: ProcessCounts<'_>, arrived: bool) -> io::Result<()> {
        let guard = self.enter();
        let place = counts.place(guard.1)?;
        self.used.store(1, Ordering::Relaxed);
        // First: were it the last thing that this process does, it would not be counted anyway,
        // whereas what travels is not taken back.
        if arrived {
            let in_transit = self.in_transit.load(Ordering::Relaxed);
            self.in_transit.store(in_transit.saturating_sub(1), Ordering::Relaxed);
        }
        crash_point!("queue: handle is joining");
        place.add(guard.1, 1);
        Ok(())
    }

    pub(super) fn send(&self) {
        let _guard = self.enter();
        let in_transit = self.in_transit.load(Ordering::Relaxed).saturating_add(1);
        self.in_transit.store(in_transit, Ordering::Relaxed);
    }

    pub(super) fn recall(&self, counts: ProcessCounts<'_>) -> bool {
        let _guard = self.enter();
        let in_transit = self.in_transit.load(Ordering::Relaxed).saturating_sub(1);
        self.in_transit.store(in_transit, Ordering::Relaxed);
        self.is_deserted(counts)
    }

    pub(super) fn leave(&self, counts: ProcessCounts<'_>) -> bool {
        let guard = self.enter();
        counts.subtract(guard.1);
        crash_point!("queue: handle has left");
        self.is_deserted(counts)
    }

    /// Takes away the handles of the dead; whether no handle is left.
    pub(super) fn look(&self, counts: ProcessCounts<'_>) -> bool {
        if !self.is_used() {
            return false;
        }
        let dead: Vec<_> = counts.holders().filter(|&process| !lives(process, self)).collect();
        let _guard = self.enter();
        for process in dead {
            counts.remove(process);
        }
        self.is_deserted(counts)
    }

    /// Whether a handle has joined.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed) != 0
    }

    /// Whether a call that does not wait should look again; that the caller does is noted.
    pub(super) fn is_due(&self) -> bool {
        if !self.is_used() {
            return false;
        }
        let now = monotonic_ns() / 1_000_000;
        let passed = now.wrapping_sub(self.looked.load(Ordering::Relaxed));
        let is_due = u128::from(passed) >= RECHECK_INTERVAL.as_millis();
        if is_due {
            self.looked.store(now, Ordering::Relaxed);
        }
        is_due
    }

    /// Whether handles are on their way in messages.
    pub(super) fn is_in_transit(&self) -> bool {
        self.in_transit.load(Ordering::Relaxed) > 0
    }

    fn is_deserted(&self, counts: ProcessCounts<'_>) -> bool {
        !self.is_in_transit() && counts.total() == 0
    }
}
