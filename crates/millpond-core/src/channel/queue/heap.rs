//! The allocator of a queue's heap: it claims runs of 64 KiB units, and frees them.
//!
//! The map changes under the heap's guard: first the block's length, then, by one store, the word
//! that names its holder. So a death under the guard leaves a consistent map: the block is free, or
//! held by the dead process. Two numbers may be wrong after it: `hint` is kept low enough (no unit
//! below it is free), and `warm` is counted anew.
//!
//! The use of a block that is not free changes without the heap's guard, under the guard of one
//! side.

use std::os::fd::BorrowedFd;

use crate::channel::queue::error::Fault;
use crate::channel::queue::layout::{
    Holding, MAP_START, PAGE, UNIT, UNITS, Unit, WINDOW, file_offset,
};
use crate::channel::queue::timed_guard::TimedGuard;
use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::os::memfd;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::robust::Taken;

/// How many free units keep their pages: 64 MiB, so that sixteen items of 4 MiB go round without a
/// fresh page.
const WARM_LIMIT: u64 = 1024;
/// The same in bytes, for tests.
#[cfg(test)]
pub(super) const WARM_BYTES: u64 = WARM_LIMIT * UNIT as u64;
/// The name of no process.
const NOBODY: u64 = 0;

/// What the processes agree on about the heap.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct HeapState {
    guard: TimedGuard,
    /// The first unit that may be free; always where a block begins or could.
    hint: AtomicU64,
    /// No unit from this one on was ever used.
    top: AtomicU64,
    /// Free units that have pages.
    warm: AtomicU64,
}

impl HeapState {
    /// How many free units have pages, at this moment.
    pub(super) fn warm(&self) -> u64 {
        self.warm.load(Ordering::Relaxed)
    }

    #[cfg(feature = "testing")]
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }
}

/// The heap of a queue: the state of it, the map of its units, and the file that they lie in.
#[derive(Clone, Copy)]
pub(super) struct Heap<'a> {
    pub(super) state: &'a HeapState,
    pub(super) map: &'a [Unit],
    pub(super) file: BorrowedFd<'a>,
}

/// The right to change the map; given back when dropped.
pub(super) struct HeapGuard<'a>(&'a HeapState, ProcessId);

impl Drop for HeapGuard<'_> {
    fn drop(&mut self) {
        self.0.guard.release(self.1);
    }
}

// Relaxed throughout: the guard's acquire and release order what happens under it.
impl<'a> Heap<'a> {
    /// Enters the heap, for which the caller waits until `deadline`, for ever without one. A holder
    /// of this guard enters no other.
    pub(super) fn enter(&self, deadline: Option<Instant>) -> Result<HeapGuard<'a>, Fault> {
        let me = ProcessId::current();
        self.entered(me, self.state.guard.take(me, deadline))
    }

    /// Enters the heap for optional work: `None` if its holder does not leave within
    /// `GUARD_TIMEOUT`.
    pub(super) fn enter_in_time(&self) -> Option<HeapGuard<'a>> {
        let me = ProcessId::current();
        self.entered(me, self.state.guard.take_in_time(me)).ok()
    }

    fn entered(&self, me: ProcessId, taken: Taken) -> Result<HeapGuard<'a>, Fault> {
        let guard = match taken {
            Taken::Clean | Taken::OwnerDied(_) => HeapGuard(self.state, me),
            Taken::TimedOut => return Err(Fault::Busy),
            Taken::Interrupted => return Err(Fault::Interrupted),
        };
        if taken != Taken::Clean {
            let mut warm = 0;
            self.each_unit(|unit, holding, units| {
                if holding == Holding::Free {
                    let free = &self.map[unit..unit + units];
                    warm += free.iter().filter(|unit| unit.is_warm()).count() as u64;
                }
            });
            self.state.warm.store(warm, Ordering::Relaxed);
        }
        Ok(guard)
    }

    fn top(&self) -> usize {
        (self.state.top.load(Ordering::Relaxed) as usize).min(UNITS)
    }

    /// Calls `visit` with the first unit, the state and the length of each block, free units one
    /// by one. The caller is in the heap. Stops where the map makes no sense.
    pub(super) fn each_unit(&self, mut visit: impl FnMut(usize, Holding, usize)) {
        let (map, top) = (self.map, self.top());
        let mut unit = 0;
        while unit < top {
            let holding = map[unit].holding();
            let units = if holding == Holding::Free { 1 } else { map[unit].units() };
            if units == 0 || units > UNITS - unit {
                return;
            }
            visit(unit, holding, units);
            unit += units;
        }
    }

    /// Takes `units` free units for `holding`, with real pages. Waits for the heap until `deadline`.
    pub(super) fn allocate(
        &self,
        units: usize,
        holding: Holding,
        deadline: Option<Instant>,
    ) -> Result<usize, Fault> {
        if units > UNITS {
            return Err(Fault::TooLarge);
        }
        let unit = self.claim(units, holding, deadline)?;
        crash_point!("queue: block is claimed");
        if let Err(error) = self.reserve(unit, units) {
            self.free(unit);
            return Err(Fault::NoMemory(error));
        }
        Ok(unit)
    }

    fn claim(
        &self,
        units: usize,
        holding: Holding,
        deadline: Option<Instant>,
    ) -> Result<usize, Fault> {
        let heap = self.state;
        let guard = self.enter(deadline)?;
        let hint = (heap.hint.load(Ordering::Relaxed) as usize).min(UNITS);
        let unit = self.find(hint, units)?;
        let end = unit + units;
        if end > self.top() {
            self.reserve_map(self.top(), end)?;
        }
        crash_point!("queue: units are found");
        let block = &self.map[unit..end];
        block[0].set_units(units);
        let warm = block.iter().filter(|unit| unit.is_warm()).count() as u64;
        let left = heap.warm.load(Ordering::Relaxed).saturating_sub(warm);
        heap.warm.store(left, Ordering::Relaxed);
        if end > self.top() {
            heap.top.store(end as u64, Ordering::Relaxed);
        }
        block[0].hold(holding);
        crash_point!("queue: units are taken");
        if unit == hint {
            heap.hint.store(end as u64, Ordering::Relaxed);
        }
        drop(guard);
        Ok(unit)
    }

    /// The first run of `units` free units, which lies in one window unless it is longer than that.
    fn find(&self, hint: usize, units: usize) -> Result<usize, Fault> {
        let (map, top) = (self.map, self.top());
        let mut start = hint;
        let mut end = hint;
        loop {
            if units <= WINDOW && start % WINDOW + units > WINDOW {
                start = start.next_multiple_of(WINDOW);
            }
            if end >= start + units {
                return Ok(start);
            }
            if start.checked_add(units).is_none_or(|end| end > UNITS) {
                return Err(Fault::NoMemory(std::io::ErrorKind::OutOfMemory.into()));
            }
            if end >= top {
                // Free from here on; the map has no pages there yet.
                return Ok(start);
            }
            if map[end].holding() == Holding::Free {
                end += 1;
            } else {
                let taken = map[end].units();
                if taken == 0 || taken > UNITS - end {
                    return Err(Fault::Corrupt);
                }
                end += taken;
                start = start.max(end);
            }
        }
    }

    /// Gives the part of the map that speaks of these units pages.
    fn reserve_map(&self, from: usize, to: usize) -> Result<(), Fault> {
        let offset = |unit: usize| MAP_START + unit * size_of::<Unit>();
        let start = offset(from) / PAGE * PAGE;
        let length = offset(to).next_multiple_of(PAGE) - start;
        Ok(memfd::reserve(self.file, start as u64, length as u64)?)
    }

    /// Gives the units of a block of the caller pages where they have none.
    fn reserve(&self, unit: usize, units: usize) -> std::io::Result<()> {
        let mut at = unit;
        for run in self.map[unit..unit + units].chunk_by(|a, b| a.is_warm() == b.is_warm()) {
            if !run[0].is_warm() {
                let length = (run.len() * UNIT) as u64;
                memfd::reserve(self.file, file_offset(at), length)?;
                run.iter().for_each(|unit| unit.set_warm(true));
            }
            at += run.len();
        }
        Ok(())
    }

    /// Frees a block that the caller holds, or that no process will ever use.
    pub(super) fn free(&self, unit: usize) {
        let units = self.map[unit].units();
        if units == 0 || units > UNITS - unit {
            return;
        }
        // Before the guard: it takes its time, and the block is still the caller's.
        if self.state.warm.load(Ordering::Relaxed).saturating_add(units as u64) > WARM_LIMIT {
            self.cool(unit, units);
        }
        crash_point!("queue: block is about to be freed");
        match self.enter_in_time() {
            Some(guard) => self.free_entered(&guard, unit, units),
            // That takes no guard: the next sweep frees blocks that the dead or no process hold.
            None => self.map[unit].hold(Holding::Owned(NOBODY)),
        }
    }

    /// Gives the pages of a block back to the system.
    fn cool(&self, unit: usize, units: usize) {
        // Cold first: a unit that is taken for cold is reserved again, whatever is true.
        self.map[unit..unit + units].iter().for_each(|unit| unit.set_warm(false));
        let length = (units * UNIT) as u64;
        // It fails for want of kernel memory; then the pages stay until the unit's next turn.
        let _ = memfd::discard(self.file, file_offset(unit), length);
    }

    /// Frees a block, in the heap already.
    pub(super) fn free_entered(&self, guard: &HeapGuard<'_>, unit: usize, units: usize) {
        let heap = guard.0;
        let block = &self.map[unit..unit + units];
        // Lower first: nothing free may lie below the hint, whenever the caller dies.
        if heap.hint.load(Ordering::Relaxed) > unit as u64 {
            heap.hint.store(unit as u64, Ordering::Relaxed);
        }
        crash_point!("queue: hint is lowered");
        // The units within were the block's own: what they say of holders is from its past, and
        // free; see `claim`, which only writes the first.
        let warm = block.iter().filter(|unit| unit.is_warm()).count() as u64;
        block[0].hold(Holding::Free);
        crash_point!("queue: block is free");
        let now = heap.warm.load(Ordering::Relaxed).saturating_add(warm);
        heap.warm.store(now, Ordering::Relaxed);
    }
}
