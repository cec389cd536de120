//! One process' mapping of a queue's memory: the fixed part, and windows of the heap.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::channel::queue::batching::Batching;
use crate::channel::queue::control::{Control, TASKS};
use crate::channel::queue::error::Fault;
use crate::channel::queue::heap::Heap;
use crate::channel::queue::layout::{
    CONTROL, COUNTS_START, HEAP_START, LENGTH, MAP_START, MAPPED, PLACES, PLACES_LENGTH, UNIT,
    UNITS, Unit, WINDOW, file_offset,
};
use crate::channel::queue::process_counts::{Counted, ProcessCount, ProcessCounts};
use crate::channel::queue::reuse::Reuse;
use crate::os::identity::ProcessId;
use crate::os::map::{Mapping, Sharing, copy_pages, map_over};
use crate::shm::loans::{self, Lender, Part};
use crate::shm::region::{HEADER, Region};
use crate::shm::slab::Slot;
use crate::shm::wire_handle::WireHandleError;

/// Control page, unit map and heap of a queue.
#[derive(Debug)]
pub(super) struct Memory {
    slot: Slot,
    /// Where windows of the heap are mapped, null while they are not. Never unmapped while this
    /// lives. Lock-free, so that a fork at any moment leaves the child with a whole table.
    windows: Windows,
    /// The same for blocks that were received. A [fork](loans) may make parts of them private, where
    /// nothing else is read then.
    received: OnceLock<Windows>,
    /// The number of the heap's units that are within the file, which only grows.
    within: AtomicUsize,
    pub(super) batching: Batching,
    pub(super) reuse: Reuse,
}

/// Units as this process sees them, and what keeps them mapped.
pub(super) type BlockPlace = (NonNull<u8>, Arc<dyn Lender>);

/// Units that have a mapping of their own.
#[derive(Debug)]
struct Apart {
    memory: Arc<Memory>,
    _own: Mapping,
}

#[derive(Debug)]
struct Windows(Box<[AtomicPtr<u8>]>);

impl Memory {
    pub(super) fn create() -> io::Result<Self> {
        let region = Region::create_partly("millpond-queue", HEAP_START, MAPPED, MAP_START)?;
        let slot = Slot::at(region, HEADER, CONTROL).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self::new(slot))
    }

    /// The memory that a wire handle led to.
    pub(super) fn in_slot(slot: Slot) -> Result<Self, WireHandleError> {
        let region = slot.region();
        let length = rustix::fs::fstat(region.as_fd()).map_err(io::Error::from)?.st_size;
        let is_whole = slot.offset() == HEADER
            && slot.length() == CONTROL
            && region.length() == MAPPED
            && (HEAP_START..=LENGTH).contains(&length.cast_unsigned());
        if is_whole { Ok(Self::new(slot)) } else { Err(WireHandleError::Damaged) }
    }

    fn new(slot: Slot) -> Self {
        let (windows, received) = (Windows::new(), OnceLock::new());
        Self {
            slot,
            windows,
            received,
            within: AtomicUsize::new(0),
            batching: Batching::default(),
            reuse: Reuse::default(),
        }
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(super) fn region(&self) -> &Arc<Region> {
        self.slot.region()
    }

    #[inline]
    pub(super) fn control(&self) -> &Control {
        // SAFETY: the slot is as long as a control page, aligned to 64, mapped as long as `self`,
        // and any bytes are a valid one.
        unsafe { self.slot.start().cast::<Control>().as_ref() }
    }

    pub(super) fn map(&self) -> &[Unit] {
        // SAFETY: MAPPED bytes of the region are mapped, and hold the map from MAP_START on. Units
        // are atomics, of which any bits are valid.
        unsafe {
            let start = self.region().start().add(MAP_START).cast::<Unit>();
            std::slice::from_raw_parts(start.as_ptr(), UNITS)
        }
    }

    /// Per-process counts, of whose places their own words say how many have pages.
    pub(super) fn counts(&self, kept: Counted) -> ProcessCounts<'_> {
        let control = self.control();
        let state = match kept {
            Counted::Producers => &control.producers.counts,
            Counted::Consumers => &control.consumers.counts,
            Counted::Tasks => &control.tasks.counts,
        };
        let start = COUNTS_START + kept as usize * PLACES_LENGTH;
        // SAFETY: MAPPED bytes of the region are mapped, and hold PLACES for each per-process
        // counts from COUNTS_START on. Holders are atomics, of which any bits are valid.
        let places = unsafe {
            let first = self.region().start().add(start).cast::<ProcessCount>();
            std::slice::from_raw_parts(first.as_ptr(), PLACES)
        };
        ProcessCounts { state, places, file: self.region().as_fd(), start }
    }

    /// The heap of the queue.
    pub(super) fn heap(&self) -> Heap<'_> {
        let state = &self.control().heap;
        Heap { state, map: self.map(), file: self.region().as_fd() }
    }

    /// Where `units` units from `unit` on are mapped; `None` if they lie in several windows.
    #[inline]
    pub(super) fn in_window(
        &self,
        unit: usize,
        units: usize,
    ) -> Result<Option<NonNull<u8>>, Fault> {
        self.windows.find(self, unit, units)
    }

    /// Maps units wherever they lie.
    pub(super) fn place(self: &Arc<Self>, unit: usize, units: usize) -> Result<BlockPlace, Fault> {
        match self.in_window(unit, units)? {
            Some(start) => Ok((start, Arc::<Self>::clone(self))),
            None => self.place_apart(unit, units),
        }
    }

    /// Maps the units of a block that is received, which may become private there.
    pub(super) fn place_received(
        self: &Arc<Self>,
        unit: usize,
        units: usize,
    ) -> Result<BlockPlace, Fault> {
        let windows = self.received.get_or_init(Windows::new);
        match windows.find(self, unit, units)? {
            // A block that lay here before is private.
            Some(start) if loans::has_own(start, units * UNIT) => self.place_apart(unit, units),
            Some(start) => Ok((start, Arc::<Self>::clone(self))),
            None => self.place_apart(unit, units),
        }
    }

    /// Refuses units behind the end of the file, where a look ends the process: no block lies there
    /// unless the memory is damaged.
    #[inline]
    fn check(&self, unit: usize, units: usize) -> Result<(), Fault> {
        let end = unit.checked_add(units).ok_or(Fault::Corrupt)?;
        // Relaxed: the file has grown before anything named the units, and never shrinks.
        if end <= self.within.load(Ordering::Relaxed) { Ok(()) } else { self.check_anew(end) }
    }

    #[cold]
    fn check_anew(&self, end: usize) -> Result<(), Fault> {
        let length = rustix::fs::fstat(self.region().as_fd()).map_err(io::Error::from)?.st_size;
        let heap = length.cast_unsigned().saturating_sub(HEAP_START);
        let within = usize::try_from(heap / UNIT as u64).map_or(UNITS, |units| units.min(UNITS));
        self.within.fetch_max(within, Ordering::Relaxed);
        if end <= within { Ok(()) } else { Err(Fault::Corrupt) }
    }

    fn place_apart(self: &Arc<Self>, unit: usize, units: usize) -> Result<BlockPlace, Fault> {
        self.check(unit, units)?;
        if units == 0 {
            return Err(Fault::Corrupt);
        }
        let own = Mapping::new(self.region().as_fd(), file_offset(unit), units * UNIT)?;
        Ok((own.start(), Arc::new(Apart { memory: Arc::clone(self), _own: own })))
    }

    /// # Safety
    /// As for [`map_over`].
    unsafe fn map_part(&self, part: Part, sharing: Sharing) -> io::Result<()> {
        let (fd, offset) = (self.region().as_fd(), file_offset(part.block));
        let length = part.length.next_multiple_of(UNIT);
        // SAFETY: the caller promises it; units are mapped as wholes.
        unsafe { map_over(part.start, length, fd, offset, sharing) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It may open the queue again and say that they are done.
        if self.control().has(TASKS) && self.counts(Counted::Tasks).has(ProcessId::current()) {
            self.region().presence().stay();
        }
    }
}

impl Lender for Memory {
    fn give_back(&self, part: Part) {
        self.heap().free(part.block);
    }

    /// Maps it as shared again; false if address space has run out.
    unsafe fn take_back(&self, part: Part) -> bool {
        // SAFETY: the caller promises it.
        unsafe { self.map_part(part, Sharing::Shared) }.is_ok()
    }

    fn make_own(&self, part: Part, _with_pages: bool) -> bool {
        // SAFETY: the part is a block that is mapped and this process', and reads the same.
        if unsafe { self.map_part(part, Sharing::Private) }.is_err() {
            return false;
        }
        // SAFETY: it is mapped, from the start of a unit on. The block stays as it is where there is
        // no memory for the copy.
        if unsafe { copy_pages(part.start, part.length) }.is_ok() {
            self.heap().free(part.block);
        }
        true
    }
}

impl Lender for Apart {
    fn give_back(&self, part: Part) {
        self.memory.give_back(part);
    }

    fn make_own(&self, part: Part, with_pages: bool) -> bool {
        self.memory.make_own(part, with_pages)
    }

    unsafe fn take_back(&self, _: Part) -> bool {
        // It is unmapped with this.
        true
    }
}

impl Windows {
    fn new() -> Self {
        Self((0..UNITS / WINDOW).map(|_| AtomicPtr::new(null_mut())).collect())
    }

    #[inline]
    fn find(
        &self,
        memory: &Memory,
        unit: usize,
        units: usize,
    ) -> Result<Option<NonNull<u8>>, Fault> {
        let within = unit % WINDOW;
        let window = self.0.get(unit / WINDOW).ok_or(Fault::Corrupt)?;
        memory.check(unit, units)?;
        if units == 0 || units > WINDOW || within + units > WINDOW {
            return Ok(None);
        }
        // Acquire: pairs with the exchange in `map`, for the new page tables' sake alone: the
        // mapping itself is the kernel's, and seen by all threads.
        let start = match NonNull::new(window.load(Ordering::Acquire)) {
            Some(start) => start,
            None => self.map(memory, unit / WINDOW)?,
        };
        // SAFETY: a window is mapped for WINDOW units.
        Ok(Some(unsafe { start.add(within * UNIT) }))
    }

    #[cold]
    fn map(&self, memory: &Memory, index: usize) -> Result<NonNull<u8>, Fault> {
        let offset = file_offset(index * WINDOW);
        let mapping = Mapping::new(memory.region().as_fd(), offset, WINDOW * UNIT)?;
        let start = mapping.start();
        match self.0[index].compare_exchange(
            null_mut(),
            start.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => {
                // It belongs to the table from now on; see `drop`.
                std::mem::forget(mapping);
                Ok(start)
            }
            // Another thread was faster; ours is unmapped here.
            Err(theirs) => NonNull::new(theirs).ok_or(Fault::Corrupt),
        }
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        for window in &mut self.0 {
            if let Some(start) = NonNull::new(*window.get_mut()) {
                // SAFETY: `map` mapped it and forgot the mapping; blocks in it hold the memory.
                drop(unsafe { Mapping::from_raw(start, WINDOW * UNIT) });
            }
        }
    }
}
