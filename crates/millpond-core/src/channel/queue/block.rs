//! A block of a queue's memory that this process holds: it fills it for an item, or received it as
//! one.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::channel::queue::error::Trouble;
use crate::channel::queue::layout::{Holding, UNIT, UNITS};
use crate::channel::queue::memory::{Memory, Place};
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::inheritance::Receipt;

/// Shared memory with the bytes of one item, which may be read and written in place and goes back
/// to the queue when dropped.
///
/// A forked child has a copy of this value, not the block: dropping it there does nothing. A block
/// that was held during a fork goes back only when the process that received it ends, so the child
/// may read it until then.
#[derive(Debug)]
pub struct Block {
    memory: Arc<Memory>,
    place: Place,
    unit: usize,
    length: usize,
    receipt: Receipt,
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
        let unit = match memory.allocate(units, holding, deadline) {
            // What the dead held may be enough.
            Err(Trouble::NoMemory(_)) if memory.sweep_the_dead() => {
                memory.allocate(units, holding, deadline)?
            }
            allocated => allocated?,
        };
        let place = memory.place(unit, units).inspect_err(|_| memory.free(unit))?;
        let (memory, receipt) = (Arc::clone(memory), Receipt::new());
        Ok(Self { memory, place, unit, length, receipt, is_held: true })
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
        let place = memory.place(unit, units)?;
        let (memory, receipt) = (Arc::clone(memory), Receipt::new());
        Ok(Self { memory, place, unit, length, receipt, is_held: false })
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

    /// The first byte; valid and writable as long as the block lives.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.place.start
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
        if self.is_held && self.receipt.is_sole() {
            self.memory.free(self.unit);
        }
    }
}
