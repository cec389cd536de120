//! The sweep: it frees the blocks and segments that dead processes left.
//!
//! Every block names its holder, or the item to which it belongs; see [`Holding`]. So garbage is
//! recognised without a journal: under the guard of the put side, a block of an item that is not
//! committed; under that of the get side, one of an item that was taken, or a segment before the
//! one that is read; under none, a block of a process that is dead, or of none.
//!
//! While the holder of the heap's guard is stopped, nothing is swept. Blocks that the dead hold are
//! found by a later sweep; those of a process that died in one of the sides, after the next death
//! there.

use crate::channel::queue::layout::Holding;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::side::SideGuard;
use crate::crash::crash_point;
use crate::os::clock::monotonic_ns;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::sync::atomic::Ordering;

/// The shortest time between two sweeps by waiters for memory of the dead, in milliseconds.
const INTERVAL: u64 = 500;

impl Memory {
    /// Frees what was meant for items that are not committed.
    pub(super) fn sweep_put(&self, put: &SideGuard<'_>) {
        let snapshot = put.snapshot();
        self.sweep(|unit, holding| match holding {
            Holding::Queued(item) => item >= snapshot.count,
            Holding::Segment(item) => item >= snapshot.count && !snapshot.position.is_in(unit),
            _ => false,
        });
    }

    /// Frees what held items that are taken.
    pub(super) fn sweep_get(&self, get: &SideGuard<'_>) {
        let snapshot = get.snapshot();
        if snapshot.position.is_none() {
            return;
        }
        let current = self.map().get(snapshot.position.unit()).map(|unit| unit.holding());
        self.sweep(|unit, holding| match (holding, current) {
            (Holding::Queued(item), _) => item < snapshot.count,
            (Holding::Segment(item), Some(Holding::Segment(first))) => {
                item < first && !snapshot.position.is_in(unit)
            }
            _ => false,
        });
    }

    /// Frees what processes held that are dead; whether there was any.
    pub(super) fn sweep_the_dead(&self) -> bool {
        let mut owners = Vec::new();
        // Whether processes live is asked for outside of the guard.
        let heap = self.heap();
        let Some(guard) = heap.enter_in_time() else {
            return false;
        };
        heap.each_unit(|_, holding, _| {
            if let Holding::Owned(owner) = holding
                && !owners.contains(&owner)
            {
                owners.push(owner);
            }
        });
        drop(guard);
        owners.retain(|&owner| {
            ProcessId::from_raw(owner).is_none_or(|owner| !lives(owner, self.control()))
        });
        !owners.is_empty()
            && self.sweep(
                |_, holding| matches!(holding, Holding::Owned(owner) if owners.contains(&owner)),
            )
    }

    /// The same, if the last one is 500 ms old.
    pub(super) fn sweep_if_due(&self) {
        let now = monotonic_ns() / 1_000_000;
        let swept = &self.control().swept;
        // Relaxed: two processes that sweep at once do no harm.
        if now.wrapping_sub(swept.load(Ordering::Relaxed)) >= INTERVAL {
            swept.store(now, Ordering::Relaxed);
            self.sweep_the_dead();
        }
    }

    fn sweep(&self, is_garbage: impl Fn(usize, Holding) -> bool) -> bool {
        let heap = self.heap();
        let Some(guard) = heap.enter_in_time() else {
            return false;
        };
        let mut found = false;
        heap.each_unit(|unit, holding, units| {
            if is_garbage(unit, holding) {
                found = true;
                crash_point!("queue: garbage is found");
                heap.free_entered(&guard, unit, units);
            }
        });
        found
    }
}
