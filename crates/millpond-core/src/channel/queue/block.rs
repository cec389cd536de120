//! A block of a queue's heap as a process holds it: filled by its producer, or read in place by its
//! consumer.

use std::sync::Arc;

use crate::channel::queue::error::Fault;
use crate::channel::queue::layout::{Holding, UNIT, UNITS};
use crate::channel::queue::memory::{BlockPlace, Memory};
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::lease::Lease;
use crate::shm::loans::Part;

impl Memory {
    /// A new block for `length` bytes, whose content is arbitrary.
    pub(super) fn new_block(
        self: &Arc<Self>,
        length: usize,
        deadline: Option<Instant>,
    ) -> Result<Lease, Fault> {
        let units = length.div_ceil(UNIT).max(1);
        let holding = Holding::Owned(ProcessId::current().raw());
        let unit = match self.heap().allocate(units, holding, deadline) {
            // What the dead held may be enough.
            Err(Fault::NoMemory(_)) if self.sweep_the_dead() => {
                self.heap().allocate(units, holding, deadline)?
            }
            allocated => allocated?,
        };
        let place = self.place(unit, units).inspect_err(|_| self.heap().free(unit))?;
        Ok(block(place, unit, length, true))
    }

    /// The block that the record of this item names, checked. It is not the caller's before it
    /// [takes](Self::take_block) it.
    pub(super) fn find_block(
        self: &Arc<Self>,
        unit: u64,
        length: u64,
        item: u64,
    ) -> Result<Lease, Fault> {
        let unit = usize::try_from(unit).map_err(|_| Fault::Corrupt)?;
        let length = usize::try_from(length).map_err(|_| Fault::Corrupt)?;
        let word = self.map().get(unit).ok_or(Fault::Corrupt)?;
        let units = word.units();
        let is_whole = word.holding() == Holding::Queued(item)
            && units <= UNITS - unit
            && units.checked_mul(UNIT).is_some_and(|bytes| length <= bytes);
        if !is_whole {
            return Err(Fault::Corrupt);
        }
        Ok(block(self.place_received(unit, units)?, unit, length, false))
    }

    /// Takes the block of an item that is taken now.
    pub(super) fn take_block(&self, block: &mut Lease) {
        if !block.is_held() {
            self.map()[block.block()].hold(Holding::Owned(ProcessId::current().raw()));
            block.hold(true);
        }
    }
}

fn block((start, lender): BlockPlace, unit: usize, length: usize, is_held: bool) -> Lease {
    // SAFETY: the lender keeps the place mapped, which is at least that long; the block is this
    // process' own, or will be when it is taken.
    unsafe { Lease::new(lender, Part { start, length, block: unit }, 0, is_held) }
}
