//! Slabs: regions cut into slots of one size, for primitives that need a few bytes each.
//!
//! A process allocates from slabs of its own, so allocation is private. A slot that never left the
//! process is used again once it is dropped. One that may be known elsewhere (a wire handle was
//! made, or the process has forked since) is not: it cannot be known when the others are done with it.
//! Its slab is no longer allocated from once it is full, and the kernel frees it when the last
//! process that has one of its slots is gone.

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::fork::Owner;
use crate::os::memfd;
use crate::shm::in_transit;
use crate::shm::region::{HEADER, Region, first_slot};
use crate::shm::tables::{self, OwnTable};

/// Sizes of slots, in bytes. What is larger gets a region of its own.
const SIZES: [usize; 3] = [256, 4096, 32 << 10];
/// How large the slabs for them are.
const SLABS: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];
/// Slots of this size and more get pages as they are given out.
const LAZY: usize = 32 << 10;

/// Slabs that this process made and that have room, one of each slot size.
static OWN: OwnTable<Slab> = OwnTable::new();

/// A slab that this process allocates from.
#[derive(Debug)]
struct Slab {
    region: Arc<Region>,
    size: usize,
    /// The offset of the first slot that was never given out.
    next: usize,
    /// Slots that came back, and how many bytes of each have pages.
    free: Vec<(usize, usize)>,
}

/// A piece of a region.
#[derive(Debug)]
pub struct Slot {
    region: Arc<Region>,
    offset: usize,
    length: usize,
    /// The number of its bytes, from the start, that have pages as far as this process knows.
    reserved: usize,
    /// The process that may give the slot back, and its count of forks when the slot was made.
    origin: Option<(Owner, u64)>,
    has_left: AtomicBool,
}

impl Slot {
    /// `length` zeroed bytes of shared memory, aligned to 64.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn allocate(length: usize) -> io::Result<Self> {
        Self::allocate_partly(length, length)
    }

    /// Like [`allocate`](Self::allocate), but only the first `reserved` bytes are sure to have pages:
    /// the caller reserves the others before it uses them.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn allocate_partly(length: usize, reserved: usize) -> io::Result<Self> {
        Self::allocate_from(length, reserved, Region::create)
    }

    /// Like [`allocate`](Self::allocate), but what needs a region of its own gets pages as they are
    /// touched: for bytes of which some may never be.
    ///
    /// # Errors
    /// The system's, when descriptors or address space have run out.
    pub(crate) fn allocate_sparse(length: usize) -> io::Result<Self> {
        Self::allocate_from(length, length, Region::create_sparse)
    }

    fn allocate_from(
        length: usize,
        reserved: usize,
        create: impl FnOnce(&str, usize) -> io::Result<Arc<Region>>,
    ) -> io::Result<Self> {
        match SIZES.into_iter().zip(SLABS).find(|&(size, _)| length <= size) {
            Some((size, slab)) => {
                let mut slot = Self::from_slab(length, size, slab)?;
                if slot.reserved < reserved {
                    memfd::reserve(slot.region.as_fd(), slot.offset as u64, reserved as u64)?;
                    slot.reserved = reserved;
                }
                Ok(slot)
            }
            None => {
                // A large allocation first frees regions whose wire handles have all been used.
                in_transit::let_go_of_arrived();
                let whole = length.checked_add(HEADER).ok_or(io::ErrorKind::OutOfMemory)?;
                Ok(Self::new(create("millpond", whole)?, HEADER, length, length))
            }
        }
    }

    fn from_slab(length: usize, size: usize, slab_length: usize) -> io::Result<Self> {
        if let Some((region, offset, reserved)) = take(OWN.of(&mut tables::lock()), size) {
            return Ok(Self::new(region, offset, length, reserved));
        }
        // Creating a region locks the tables.
        let first = first_slot(size, slab_length).ok_or(io::ErrorKind::InvalidInput)?;
        let reserved = if size >= LAZY { first } else { slab_length };
        let region = Region::create_slab("millpond-slab", slab_length, reserved, size)?;
        let slab = Slab { region: Arc::clone(&region), size, next: first + size, free: Vec::new() };
        let mut tables = tables::lock();
        let slabs = OWN.of(&mut tables);
        let full = match slabs.iter().position(|slab| slab.size == size) {
            // The full one, or one that another thread made meanwhile: its room is not missed.
            Some(index) => Some(std::mem::replace(&mut slabs[index], slab)),
            None => {
                slabs.push(slab);
                None
            }
        };
        drop(tables);
        drop(full);
        Ok(Self::new(region, first, length, fresh(size)))
    }

    fn new(region: Arc<Region>, offset: usize, length: usize, reserved: usize) -> Self {
        let origin = Some((Owner::current(), tables::forks()));
        Self { region, offset, length, reserved, origin, has_left: AtomicBool::new(false) }
    }

    /// The slot at `offset` of a region that a wire handle led to; `None` if it does not lie in it.
    #[must_use]
    pub(crate) fn at(region: Arc<Region>, offset: usize, length: usize) -> Option<Self> {
        let end = offset.checked_add(length)?;
        let fits = offset >= HEADER && offset.is_multiple_of(64) && end <= region.length();
        fits.then_some(Self {
            region,
            offset,
            length,
            reserved: length,
            origin: None,
            has_left: AtomicBool::new(true),
        })
    }

    /// The first byte; `length` bytes stay mapped as long as the slot lives.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: offset and length lie within the mapping.
        unsafe { self.region.start().add(self.offset) }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The same slot, which reports a smaller length.
    #[must_use]
    pub(crate) fn shortened(mut self, length: usize) -> Self {
        self.length = length.min(self.length);
        self
    }

    /// Where it lies in its region.
    #[must_use]
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// The region that it lies in.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Whether no other process can know the slot.
    pub(crate) fn is_private(&self) -> bool {
        // Relaxed: asked when the slot is dropped, which comes after all uses.
        let has_left = self.has_left.load(Ordering::Relaxed);
        let is_here = |(owner, forks): (Owner, u64)| owner.is_current() && forks == tables::forks();
        !has_left && self.origin.is_some_and(is_here)
    }

    /// Notes that another process may know the slot from now on, as one of this kind.
    pub(crate) fn leaves(&self, kind: u32) {
        self.region.describe(self.offset, self.length, kind);
        // Relaxed: as above.
        self.has_left.store(true, Ordering::Relaxed);
    }
}

/// A slot: where it lies, and how many bytes of it have pages.
fn take(slabs: &mut [Slab], size: usize) -> Option<(Arc<Region>, usize, usize)> {
    let slab = slabs.iter_mut().find(|slab| slab.size == size)?;
    let (offset, reserved) = slab.free.pop().or_else(|| {
        let offset = slab.next;
        (offset + size <= slab.region.length()).then(|| {
            slab.next += size;
            (offset, fresh(size))
        })
    })?;
    Some((Arc::clone(&slab.region), offset, reserved))
}

/// How many bytes of a slot of this size have pages before it is given out first.
fn fresh(size: usize) -> usize {
    if size >= LAZY { 0 } else { size }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Its region may have been kept for the receiver of a wire handle that has opened it by now.
        in_transit::let_go_of_arrived();
        if !self.is_private() {
            return;
        }
        let mut tables = tables::lock();
        // A fork between the look above and the lock is seen here: the lock holds forks up.
        if self.origin.is_none_or(|(_, forks)| forks != tables::forks()) {
            return;
        }
        let same = |slab: &&mut Slab| Arc::ptr_eq(&slab.region, &self.region);
        if let Some(slab) = OWN.of(&mut tables).iter_mut().find(same) {
            // What lies behind has no pages: an object that reserves those is known to others.
            //
            // SAFETY: the slot lies within the mapping, no other process knows it, and this one
            // is done with it.
            unsafe { self.region.start().add(self.offset).write_bytes(0, self.reserved) };
            slab.free.push((self.offset, self.reserved));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_never_left_is_used_again_and_one_that_did_is_not() {
        // Other tests of this process allocate and fork at the same time, so tries are made until
        // one is undisturbed.
        let reused = (0..100).any(|_| {
            let slot = Slot::allocate(100).expect("memory");
            // SAFETY: within the slot.
            unsafe { slot.start().write(7) };
            let place = (slot.region().identity(), slot.offset());
            drop(slot);
            let again = Slot::allocate(200).expect("memory");
            // SAFETY: as above.
            let zeroed = unsafe { again.start().read() } == 0;
            zeroed && (again.region().identity(), again.offset()) == place
        });
        assert!(reused);
        let slot = Slot::allocate(100).expect("memory");
        let place = (slot.region().identity(), slot.offset());
        slot.leaves(7);
        drop(slot);
        for _ in 0..300 {
            let slot = Slot::allocate(100).expect("memory");
            assert_ne!((slot.region().identity(), slot.offset()), place);
            slot.leaves(7);
        }
    }

    #[test]
    fn slots_are_zeroed_aligned_and_apart() {
        let slots: Vec<_> = [1, 64, 256, 257, 4096, 5000, 32 << 10, 100_000]
            .into_iter()
            .map(|length| Slot::allocate(length).expect("memory"))
            .collect();
        for slot in &slots {
            assert!(slot.start().as_ptr().addr().is_multiple_of(64));
            // SAFETY: the slot is that long and this handle's alone.
            let bytes =
                unsafe { std::slice::from_raw_parts_mut(slot.start().as_ptr(), slot.length()) };
            assert!(bytes.iter().all(|&b| b == 0));
            bytes.fill(1);
        }
    }

    #[test]
    fn a_slot_outside_of_its_region_is_refused() {
        let region = Region::create("millpond-test", 8192).expect("memory");
        assert!(Slot::at(Arc::clone(&region), 0, 64).is_none());
        assert!(Slot::at(Arc::clone(&region), 8192 - 64, 65).is_none());
        assert!(Slot::at(Arc::clone(&region), usize::MAX - 63, 64).is_none());
        assert!(Slot::at(region, 8192 - 64, 64).is_some());
    }
}
