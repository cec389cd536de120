//! The memory of a queue as one process has it mapped.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::channel::queue::control::Control;
use crate::channel::queue::error::Trouble;
use crate::channel::queue::gathering::Gathering;
use crate::channel::queue::layout::{
    CONTROL, HEAP_START, LENGTH, MAP_START, MAPPED, UNIT, UNITS, Unit, WINDOW,
};
use crate::channel::queue::reuse::Reuse;
use crate::os::map::Mapping;
use crate::shm::region::{HEADER, Region};
use crate::shm::slab::Slot;
use crate::shm::ticket::TicketError;

/// Control page, unit map and heap of a queue.
#[derive(Debug)]
pub(super) struct Memory {
    slot: Slot,
    /// Where windows of the heap are mapped, null while they are not. Never unmapped while this
    /// lives. Lock-free, so that a fork at any moment leaves the child with a whole table.
    windows: Box<[AtomicPtr<u8>]>,
    pub(super) gathering: Gathering,
    pub(super) reuse: Reuse,
}

/// Units as this process sees them: in a window, or in a mapping of their own.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) start: NonNull<u8>,
    /// Keeps those mapped that fit no window.
    _own: Option<Mapping>,
}

impl Memory {
    pub(super) fn create() -> io::Result<Self> {
        let region = Region::create_partly("millpond-queue", LENGTH, MAPPED, MAP_START)?;
        let slot = Slot::at(region, HEADER, CONTROL).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self::new(slot))
    }

    /// The memory that a ticket led to.
    pub(super) fn in_slot(slot: Slot) -> Result<Self, TicketError> {
        let region = slot.region();
        let length = rustix::fs::fstat(region.as_fd()).map_err(io::Error::from)?.st_size;
        let is_whole = slot.offset() == HEADER
            && slot.length() == CONTROL
            && region.length() == MAPPED
            && length.cast_unsigned() == LENGTH;
        if is_whole { Ok(Self::new(slot)) } else { Err(TicketError::Damaged) }
    }

    fn new(slot: Slot) -> Self {
        let windows = (0..UNITS / WINDOW).map(|_| AtomicPtr::new(null_mut())).collect();
        Self { slot, windows, gathering: Gathering::default(), reuse: Reuse::default() }
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

    /// Where `units` units from `unit` on are mapped; `None` if they lie in several windows.
    #[inline]
    pub(super) fn in_window(
        &self,
        unit: usize,
        units: usize,
    ) -> Result<Option<NonNull<u8>>, Trouble> {
        let within = unit % WINDOW;
        let window = self.windows.get(unit / WINDOW).ok_or(Trouble::Corrupt)?;
        if units == 0 || units > WINDOW || within + units > WINDOW {
            return Ok(None);
        }
        // Acquire: pairs with the exchange in `map_window`, for the new page tables' sake alone:
        // the mapping itself is the kernel's, and seen by all threads.
        let start = match NonNull::new(window.load(Ordering::Acquire)) {
            Some(start) => start,
            None => self.map_window(unit / WINDOW)?,
        };
        // SAFETY: a window is mapped for WINDOW units.
        Ok(Some(unsafe { start.add(within * UNIT) }))
    }

    #[cold]
    fn map_window(&self, index: usize) -> Result<NonNull<u8>, Trouble> {
        let offset = HEAP_START + (index * WINDOW * UNIT) as u64;
        let mapping = Mapping::new(self.region().as_fd(), offset, WINDOW * UNIT)?;
        let start = mapping.start();
        match self.windows[index].compare_exchange(
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
            Err(theirs) => NonNull::new(theirs).ok_or(Trouble::Corrupt),
        }
    }

    /// Maps units wherever they lie.
    pub(super) fn place(&self, unit: usize, units: usize) -> Result<Place, Trouble> {
        if let Some(start) = self.in_window(unit, units)? {
            return Ok(Place { start, _own: None });
        }
        if units == 0 || unit.checked_add(units).is_none_or(|end| end > UNITS) {
            return Err(Trouble::Corrupt);
        }
        let own = Mapping::new(self.region().as_fd(), file_offset(unit), units * UNIT)?;
        Ok(Place { start: own.start(), _own: Some(own) })
    }
}

/// Where a unit lies in the file.
pub(super) fn file_offset(unit: usize) -> u64 {
    HEAP_START + (unit * UNIT) as u64
}

impl Drop for Memory {
    fn drop(&mut self) {
        for window in &mut self.windows {
            if let Some(start) = NonNull::new(*window.get_mut()) {
                // SAFETY: `map_window` mapped it and forgot the mapping; blocks in it hold `self`.
                drop(unsafe { Mapping::from_raw(start, WINDOW * UNIT) });
            }
        }
    }
}
