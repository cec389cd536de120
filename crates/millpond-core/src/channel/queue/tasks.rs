//! The counters of unfinished tasks: of items for which `task_done` was not called yet.
//!
//! ```text
//! committed ≥ taken ≥ done = finished + lost          unfinished = committed − done
//! counts: which process has how many of the taken − done
//! told ≤ lost: how many a `join` has reported
//! ```
//!
//! `finished`, `lost` and the counts change under the guard of the get side. A process that takes an
//! item has its task from the commit on, and a process that calls
//! [`Queue::task_done`](super::Queue::task_done) gives one of its own back (or, if it has none, one
//! of those whose holder is not known).
//!
//! **Deaths.** The tasks that a dead process had are *lost*: they count as done, and the next
//! [`Queue::join`](super::Queue::join) reports how many there were, once, whereupon one may join again. If a holder of
//! the guard dies, what is neither done nor in the counts was its.

use crate::channel::queue::process_counts::{ProcessCounts, ProcessCountsState};
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Counts tasks; all zero is none.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Tasks {
    finished: AtomicU64,
    lost: AtomicU64,
    told: AtomicU64,
    pub(super) counts: ProcessCountsState,
}

// Relaxed, where nothing else is said: the guard orders what happens under it.
impl Tasks {
    pub(super) fn done(&self) -> u64 {
        // Acquire: what was done before the tasks were given back is visible to a caller of `join`.
        let finished = self.finished.load(Ordering::Acquire);
        finished.saturating_add(self.lost.load(Ordering::Acquire))
    }

    pub(super) fn finish(&self, n: u64) {
        let now = self.finished.load(Ordering::Relaxed).saturating_add(n);
        // Release: as above.
        self.finished.store(now, Ordering::Release);
    }

    fn lose(&self, n: u64) {
        let now = self.lost.load(Ordering::Relaxed).saturating_add(n);
        self.lost.store(now, Ordering::Release);
        crash_point!("queue: tasks are lost");
    }

    /// Gives up what a dead holder of the get side had and did not note, of so many `taken` items.
    pub(super) fn settle(&self, taken: u64, counts: ProcessCounts<'_>) {
        let outstanding = taken.saturating_sub(self.done());
        let unknown = outstanding.saturating_sub(counts.total());
        if unknown > 0 {
            self.lose(unknown);
        }
    }

    /// Gives up the tasks of a process that is dead, of so many `taken` items.
    pub(super) fn give_up(&self, dead: ProcessId, taken: u64, counts: ProcessCounts<'_>) {
        let outstanding = taken.saturating_sub(self.done());
        let lost = counts.remove(dead).min(outstanding);
        crash_point!("queue: tasks of the dead are removed");
        if lost > 0 {
            self.lose(lost);
        }
    }

    /// The number of lost tasks that no `join` has reported yet, and notes that the caller does.
    pub(super) fn tell(&self) -> u64 {
        let (lost, told) = (self.lost.load(Ordering::Acquire), self.told.load(Ordering::Relaxed));
        // Only one joiner raises it from what it was.
        let exchanged = lost > told
            && self.told.compare_exchange(told, lost, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if exchanged { lost - told } else { 0 }
    }
}
