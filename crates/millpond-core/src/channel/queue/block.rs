//! A block of a queue's memory that this process holds: it fills it for an item, or received it as
//! one.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use crate::channel::queue::error::Trouble;
use crate::channel::queue::layout::{Holding, UNIT, UNITS};
use crate::channel::queue::memory::{Memory, Place};
use crate::os::clock::Instant;
use crate::os::fork::Owner;
use crate::os::identity::ProcessId;
use crate::shm::loans::{self, Lender, Loan, Part, State};

/// Shared memory with the bytes of one item, which may be read and written in place and goes back
/// to the queue when dropped.
///
/// A forked child has a copy of this value, not the block, which it does not give back. What was
/// [lent](Self::lend) to readers before is a copy there too.
#[derive(Debug)]
pub struct Block {
    memory: Arc<Memory>,
    place: Place,
    unit: usize,
    length: usize,
    holder: Owner,
    /// Since its address was given away.
    loan: OnceLock<Loan>,
    /// Whether it goes back when this is dropped.
    is_held: bool,
}

// SAFETY: a block is an address range that is this process' alone; nothing is tied to a thread.
unsafe impl Send for Block {}
// SAFETY: shared access only reads the bytes.
unsafe impl Sync for Block {}

impl Block {
    /// A new block for `length` bytes, whose content is arbitrary.
    pub(super) fn new(
        memory: &Arc<Memory>,
        length: usize,
        deadline: Option<Instant>,
    ) -> Result<Self, Trouble> {
        let units = length.div_ceil(UNIT).max(1);
        let holding = Holding::Owned(ProcessId::current().raw());
        let unit = match memory.heap().allocate(units, holding, deadline) {
            // What the dead held may be enough.
            Err(Trouble::NoMemory(_)) if memory.sweep_the_dead() => {
                memory.heap().allocate(units, holding, deadline)?
            }
            allocated => allocated?,
        };
        let place = memory.place(unit, units).inspect_err(|_| memory.heap().free(unit))?;
        Ok(Self::at(memory, place, unit, length, true))
    }

    /// The block that the record of this item names, checked. It is not the caller's before it
    /// [takes](Self::take) it.
    pub(super) fn find(
        memory: &Arc<Memory>,
        unit: u64,
        length: u64,
        item: u64,
    ) -> Result<Self, Trouble> {
        let unit = usize::try_from(unit).map_err(|_| Trouble::Corrupt)?;
        let length = usize::try_from(length).map_err(|_| Trouble::Corrupt)?;
        let word = memory.map().get(unit).ok_or(Trouble::Corrupt)?;
        let units = word.units();
        let is_whole = word.holding() == Holding::Queued(item)
            && units <= UNITS - unit
            && units.checked_mul(UNIT).is_some_and(|bytes| length <= bytes);
        if !is_whole {
            return Err(Trouble::Corrupt);
        }
        let place = memory.place_received(unit, units)?;
        Ok(Self::at(memory, place, unit, length, false))
    }

    fn at(memory: &Arc<Memory>, place: Place, unit: usize, length: usize, is_held: bool) -> Self {
        let (memory, holder, loan) = (Arc::clone(memory), Owner::current(), OnceLock::new());
        Self { memory, place, unit, length, holder, loan, is_held }
    }

    /// Takes the block of an item that is taken now.
    pub(super) fn take(&mut self) {
        if self.is_held {
            return;
        }
        self.memory.map()[self.unit].hold(Holding::Owned(ProcessId::current().raw()));
        self.is_held = true;
    }

    /// The number of its first unit.
    pub(super) fn unit(&self) -> usize {
        self.unit
    }

    /// Makes it the item of this number, which is about to be committed.
    pub(super) fn queue_as(&self, item: u64) {
        self.memory.map()[self.unit].hold(Holding::Queued(item));
    }

    /// Lets go of a block whose item is committed.
    pub(super) fn given(mut self) {
        self.is_held = false;
    }

    /// The first byte, for readers that a fork may duplicate: valid and writable as long as the block
    /// or, in forked children, its copy lives. `None` if they need a copy.
    #[must_use]
    pub fn lend(&self) -> Option<NonNull<u8>> {
        let part = self.part();
        let lender = || Arc::clone(&self.memory) as Arc<dyn Lender>;
        self.loan.get_or_init(|| loans::begin(lender(), part));
        Some(part.start)
    }

    fn part(&self) -> Part {
        Part { start: self.place.start, length: self.length, block: self.unit }
    }

    /// How many bytes the item has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes of the item.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the place is at least that long and mapped while `self` lives; the block is this
        // process' own.
        unsafe { std::slice::from_raw_parts(self.place.start.as_ptr(), self.length) }
    }

    /// The bytes of the item, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.place.start.as_ptr(), self.length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: a fork has made it private, and its readers are gone.
        let share_again = || unsafe { self.memory.share_again(&self.place, self.part()) }.is_ok();
        let is_lent = match self.loan.get() {
            None => self.is_held && self.holder.is_current(),
            Some(loan) => loan.end(share_again) == State::Lent,
        };
        if is_lent {
            self.memory.heap().free(self.unit);
        }
    }
}
