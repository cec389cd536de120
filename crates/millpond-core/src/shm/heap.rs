//! The heap of a segment: blocks that carry large payloads and are used again.
//!
//! Fresh shared pages cost fifteen times a copy into warm ones, so a block that comes back is
//! kept and given out again. Each block begins with a header of which one word is shared:
//!
//! ```text
//! state: FREE ──allocate (owner of the heap)──▶ LENT ──lease dropped (receiver)──▶ FREE
//!                                                └────receiver died (owner)───────▶ FREE
//! ```
//!
//! Only the owner moves a block out of FREE, so an allocation needs no lock. A receiver that dies
//! with a lease leaves the block LENT; the owner learns of the death and frees what it had lent to
//! it ([`Heap::reclaim`]). An owner that dies leaves the memory to those who have it mapped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::segment::{HEAP_START, Segment};

/// Bytes before the payload; the payload is aligned to as much.
pub const BLOCK_HEADER: usize = 64;
const SMALLEST_CLASS: usize = 64 << 10;
/// Free blocks keep at most this many bytes of warm memory in all.
const WARM_LIMIT: u64 = 64 << 20;

pub(crate) const FREE: u32 = 0;
pub(crate) const LENT: u32 = 1;

/// Where a payload lies in a segment's heap, as it is written into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// The block's offset in the segment.
    pub offset: u64,
    /// The payload's length in bytes.
    pub length: u64,
}

/// Who holds a lent block: a worker's number, or [`NOBODY`] while the owner itself does.
pub type Holder = u64;

/// The owner itself holds the block.
pub const NOBODY: Holder = 0;

/// The allocating side of a segment's heap.
#[derive(Debug)]
pub struct Heap {
    fd: OwnedFd,
    end: u64,
    blocks: Vec<OwnedBlock>,
}

#[derive(Debug)]
struct OwnedBlock {
    offset: u64,
    map: Mapping,
    /// Bytes that have pages, from the block's start.
    warm: u64,
    holder: Holder,
}

/// The size of the blocks that payloads of `length` bytes travel in.
pub(crate) fn class_of(length: usize) -> Option<usize> {
    let class = length.checked_add(BLOCK_HEADER)?.checked_next_power_of_two()?;
    Some(class.max(SMALLEST_CLASS))
}

/// The shared state word of a mapped block.
pub(crate) fn state(map: &Mapping) -> &AtomicU32 {
    // SAFETY: a block is at least SMALLEST_CLASS long and page-aligned, its first word is used as
    // an atomic by every process, and any bits are a valid u32.
    unsafe { map.start().cast::<AtomicU32>().as_ref() }
}

impl Heap {
    /// The heap of `segment`. One process only may own it.
    ///
    /// # Errors
    /// The system's, when descriptors have run out.
    pub fn new(segment: &Segment) -> io::Result<Self> {
        let fd = segment.as_fd().try_clone_to_owned()?;
        Ok(Self { fd, end: HEAP_START, blocks: Vec::new() })
    }

    /// Lends a block out with `length` bytes of payload, which `fill` writes.
    ///
    /// # Errors
    /// `StorageFull` or `OutOfMemory` when there is not enough memory; nothing is lent then.
    pub fn lend(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<BlockRef> {
        let needed = class_of(length).ok_or(io::ErrorKind::OutOfMemory)?;
        let index = match self.free_block(needed) {
            Some(index) => index,
            None => self.new_block(needed)?,
        };
        let block = &mut self.blocks[index];
        let used = (length + BLOCK_HEADER) as u64;
        if block.warm < used {
            memfd::reserve(self.fd.as_fd(), block.offset, used)?;
            block.warm = used;
        }
        // SAFETY: the block is FREE, so no receiver reads it, and `&mut self` keeps other writers
        // of the owner out; header and payload lie within the mapping.
        let payload = unsafe {
            std::slice::from_raw_parts_mut(block.map.start().as_ptr().add(BLOCK_HEADER), length)
        };
        fill(payload);
        block.holder = NOBODY;
        // Relaxed: the reference to the block is published by the ring that carries it.
        state(&block.map).store(LENT, Ordering::Relaxed);
        let lent = BlockRef { offset: block.offset, length: length as u64 };
        self.cool_down();
        Ok(lent)
    }

    /// Notes who holds `block` from now on.
    pub fn hand_to(&mut self, block: BlockRef, holder: Holder) {
        if let Some(index) = self.find(block) {
            self.blocks[index].holder = holder;
        }
    }

    /// Frees `block`, which nobody else may hold any more.
    pub fn free(&mut self, block: BlockRef) {
        if let Some(index) = self.find(block) {
            state(&self.blocks[index].map).store(FREE, Ordering::Release);
        }
    }

    /// Frees all that `holder`, which is dead, still held.
    pub fn reclaim(&mut self, holder: Holder) {
        for block in self.blocks.iter_mut().filter(|b| b.holder == holder) {
            block.holder = NOBODY;
            state(&block.map).store(FREE, Ordering::Release);
        }
        self.cool_down();
    }

    /// How many bytes of memory the heap holds, in use or kept warm.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.blocks.iter().map(|b| b.warm).sum()
    }

    fn find(&self, block: BlockRef) -> Option<usize> {
        self.blocks.binary_search_by_key(&block.offset, |b| b.offset).ok()
    }

    fn free_block(&self, class: usize) -> Option<usize> {
        let free = |b: &OwnedBlock| {
            // Acquire: the receiver's last reads come before this block's next payload.
            b.map.length() == class && state(&b.map).load(Ordering::Acquire) == FREE
        };
        let candidates = self.blocks.iter().enumerate().filter(|(_, b)| free(b));
        candidates.max_by_key(|(_, b)| b.warm).map(|(index, _)| index)
    }

    fn new_block(&mut self, class: usize) -> io::Result<usize> {
        let end = self.end.checked_add(class as u64).ok_or(io::ErrorKind::OutOfMemory)?;
        // The memory cannot shrink again, so it grows after all else that may fail.
        let map = Mapping::new(self.fd.as_fd(), self.end, class)?;
        memfd::grow(self.fd.as_fd(), end)?;
        self.blocks.push(OwnedBlock { offset: self.end, map, warm: 0, holder: NOBODY });
        self.end = end;
        Ok(self.blocks.len() - 1)
    }

    /// Gives memory of free blocks back to the system where they hold more than is worth keeping.
    pub fn cool_down(&mut self) {
        if self.resident() <= WARM_LIMIT {
            return;
        }
        let mut warm = 0;
        for block in &mut self.blocks {
            if block.warm == 0 || state(&block.map).load(Ordering::Acquire) != FREE {
                continue;
            }
            warm += block.warm;
            if warm > WARM_LIMIT
                && memfd::discard(self.fd.as_fd(), block.offset, block.warm).is_ok()
            {
                warm -= block.warm;
                block.warm = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::lease::Importer;

    fn segment() -> Segment {
        Segment::create("millpond-test", 4096).expect("memory")
    }

    #[test]
    fn a_block_comes_back_when_its_lease_is_dropped() {
        let segment = segment();
        let mut heap = Heap::new(&segment).expect("heap");
        let mut importer = Importer::default();
        let first = heap.lend(100_000, |p| p.fill(7)).expect("block");
        let lease = importer.open(segment.as_fd(), first).expect("lease");
        assert_eq!(lease.bytes(), vec![7; 100_000]);
        let second = heap.lend(100_000, |p| p.fill(8)).expect("block");
        assert_ne!(second.offset, first.offset);
        drop(lease);
        let third = heap.lend(90_000, |p| p.fill(9)).expect("block");
        assert_eq!(third.offset, first.offset);
    }

    #[test]
    fn what_a_dead_holder_held_is_reclaimed() {
        let segment = segment();
        let mut heap = Heap::new(&segment).expect("heap");
        let block = heap.lend(70_000, |_| ()).expect("block");
        heap.hand_to(block, 42);
        heap.reclaim(41);
        assert_ne!(heap.lend(70_000, |_| ()).expect("block").offset, block.offset);
        heap.reclaim(42);
        assert_eq!(heap.lend(70_000, |_| ()).expect("block").offset, block.offset);
    }

    #[test]
    fn memory_goes_back_beyond_the_warm_limit() {
        let segment = segment();
        let mut heap = Heap::new(&segment).expect("heap");
        let blocks: Vec<_> =
            (0..12).map(|_| heap.lend(9 << 20, |p| p[0] = 1).expect("block")).collect();
        assert!(heap.resident() > WARM_LIMIT);
        blocks.into_iter().for_each(|b| heap.free(b));
        heap.cool_down();
        assert!(heap.resident() <= WARM_LIMIT);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let segment = segment();
        let mut heap = Heap::new(&segment).expect("heap");
        assert!(heap.lend(usize::MAX - 100, |_| ()).is_err());
        assert!(heap.lend(1 << 60, |_| ()).is_err());
        heap.lend(1, |p| p[0] = 1).expect("the heap is still usable");
    }
}
