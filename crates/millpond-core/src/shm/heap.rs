//! The heap of a segment: an allocator, in one process, of blocks that carry large payloads to
//! others and are used again.
//!
//! Fresh shared pages cost fifteen times a copy into warm ones, so a block that comes back is
//! kept and given out again. Each block begins with a header of which one word is shared:
//!
//! ```text
//! state: FREE ──allocate (owner of the heap)──▶ LENT ──lease dropped (receiver)──▶ FREE
//!                                                └────receiver died (owner)───────▶ FREE
//! ```
//!
//! A receiver that forks (`loans.rs`) may give pages back to the system with a block, which
//! it then marks COLD as well: they have to be reserved anew.
//!
//! Only the owner moves a block out of FREE, so an allocation needs no lock. A receiver that dies
//! with a lease leaves the block LENT; the owner learns of the death and frees what it had lent to
//! it (`Heap::reclaim`). If the owner dies, the memory lives as long as other processes map it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::block::has_come_back;
pub use crate::shm::block::{BLOCK_HEADER, BlockRef};
pub(crate) use crate::shm::block::{COLD, FREE, LENT, class_of, is_free, state};
use crate::shm::draft::{Cooling, Draft, Filled, Returns};
use crate::shm::segment::{HEAP_START, Segment};
use crate::shm::window::Window;

/// Free blocks keep at most this many bytes of warm memory in all.
pub(crate) const WARM_LIMIT: u64 = 64 << 20;
/// How many lent blocks are looked at for each that is lent, and for each that has come back.
const LOOKS: usize = 8;

/// The holder of a lent block: a worker's number, or [`NOBODY`] while the owner itself has it.
pub(crate) type Holder = u64;

/// The owner itself holds the block.
pub(crate) const NOBODY: Holder = 0;
/// The only one that this heap lends blocks to.
pub(crate) const RECEIVER: Holder = u64::MAX;

/// The allocating side of a segment's heap.
///
/// A block is in one of three places: in `free`, in `handed`, or with the owner (in a [`Draft`], or
/// lent to [`NOBODY`] yet). The state words of `handed` blocks only are looked at, a few at a time,
/// so that an allocation costs the same however many blocks there are.
#[derive(Debug)]
pub(crate) struct Heap {
    fd: Arc<OwnedFd>,
    end: u64,
    /// In the order of their offsets.
    blocks: Vec<OwnedBlock>,
    /// By class, the last one freed last, and those without pages first.
    free: HashMap<usize, VecDeque<usize>>,
    /// Bytes of the free blocks that have pages.
    free_warm: u64,
    /// Blocks that receivers may give back, in no order.
    handed: Vec<usize>,
    /// Which of them is looked at next.
    next_look: usize,
    /// The newest one.
    window: Option<(Window, Arc<Mapping>)>,
    /// Free blocks whose pages are to go back to the system.
    cooling: Vec<Draft>,
    returned: Returns,
    /// How many lent blocks were looked at.
    #[cfg(test)]
    pub(crate) looks: u64,
}

#[derive(Debug)]
struct OwnedBlock {
    offset: u64,
    class: usize,
    map: Arc<Mapping>,
    start: NonNull<u8>,
    /// Bytes that have pages, from the block's start.
    warm: u64,
    holder: Holder,
    /// Where it is in `handed`.
    place: Option<usize>,
}

// SAFETY: the address lies in the mapping, which may be used by any thread.
unsafe impl Send for OwnedBlock {}
// SAFETY: as above.
unsafe impl Sync for OwnedBlock {}

impl OwnedBlock {
    /// The shared state word, of a block that has pages: reading it would give it some.
    fn state(&self) -> &AtomicU32 {
        // SAFETY: page-aligned, within the mapping that `map` keeps; used as an atomic by every
        // process, and any bits are a valid u32.
        unsafe { self.start.cast::<AtomicU32>().as_ref() }
    }
}

impl Heap {
    /// The heap of `segment`. One process only may own it.
    ///
    /// # Errors
    /// The system's, when descriptors have run out.
    pub(crate) fn new(segment: &Segment) -> io::Result<Self> {
        let fd = Arc::new(segment.as_fd().try_clone_to_owned()?);
        Ok(Self {
            fd,
            end: HEAP_START,
            blocks: Vec::new(),
            free: HashMap::new(),
            free_warm: 0,
            handed: Vec::new(),
            next_look: 0,
            window: None,
            cooling: Vec::new(),
            returned: Returns::default(),
            #[cfg(test)]
            looks: 0,
        })
    }

    /// Lends a block out to `holder`, with `length` bytes of payload, which `fill` writes.
    ///
    /// # Errors
    /// `StorageFull` or `OutOfMemory` when there is not enough memory; nothing is lent then.
    pub(crate) fn lend(
        &mut self,
        length: usize,
        holder: Holder,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<BlockRef> {
        let filled = self.take(length)?.fill(fill)?;
        Ok(self.lend_filled(filled, holder))
    }

    /// Takes out a block for `length` bytes of payload.
    ///
    /// # Errors
    /// `OutOfMemory` when there is not enough address space, or the file's size is limited.
    pub(crate) fn take(&mut self, length: usize) -> io::Result<Draft> {
        let class = class_of(length).ok_or(io::ErrorKind::OutOfMemory)?;
        self.take_back(class);
        let index = match self.free.get_mut(&class).and_then(VecDeque::pop_back) {
            Some(index) => {
                self.free_warm -= self.blocks[index].warm;
                index
            }
            None => self.new_block(class)?,
        };
        Ok(self.draft(index, length))
    }

    fn draft(&self, index: usize, length: usize) -> Draft {
        let block = &self.blocks[index];
        Draft {
            index,
            block: BlockRef { offset: block.offset, length: length as u64 },
            start: block.start,
            warm: block.warm,
            _map: Arc::clone(&block.map),
            fd: Arc::clone(&self.fd),
            back: Some(Arc::clone(&self.returned)),
        }
    }

    /// Lends a block out that was taken out and filled.
    pub(crate) fn lend_filled(&mut self, filled: Filled, holder: Holder) -> BlockRef {
        let Filled(mut draft) = filled;
        // It does not come back by itself.
        draft.back = None;
        self.blocks[draft.index].warm = draft.warm;
        self.hand(draft.index, holder);
        draft.block
    }

    /// Notes the new holder of `block`.
    pub(crate) fn hand_to(&mut self, block: BlockRef, holder: Holder) {
        if let Some(index) = self.find(block) {
            self.hand(index, holder);
        }
    }

    fn hand(&mut self, index: usize, holder: Holder) {
        self.take_from_handed(index);
        let block = &mut self.blocks[index];
        block.holder = holder;
        if holder != NOBODY {
            block.place = Some(self.handed.len());
            self.handed.push(index);
        }
    }

    fn take_from_handed(&mut self, index: usize) {
        if let Some(place) = self.blocks[index].place.take() {
            self.handed.swap_remove(place);
            if let Some(&moved) = self.handed.get(place) {
                self.blocks[moved].place = Some(place);
            }
        }
    }

    /// Frees `block`, which nobody else may hold any more.
    pub(crate) fn free(&mut self, block: BlockRef) {
        if let Some(index) = self.find(block) {
            self.free_lent(index);
        }
    }

    fn free_lent(&mut self, index: usize) {
        let block = &mut self.blocks[index];
        // Acquire: the last writes of the process that gave the pages back come first.
        if block.state().load(Ordering::Acquire) & COLD != 0 {
            block.warm = 0;
        }
        self.release(index);
    }

    /// Frees `block` if its receiver has given it back.
    pub(crate) fn look_at(&mut self, block: BlockRef) {
        if let Some(index) = self.find(block)
            && self.blocks[index].place.is_some()
        {
            self.look(index);
        }
    }

    fn look(&mut self, index: usize) -> bool {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let block = &mut self.blocks[index];
        let mut warm = block.warm;
        let is_free = has_come_back(block.state(), &mut warm);
        if is_free {
            block.warm = warm;
            self.release(index);
        }
        is_free
    }

    /// Frees all that `holder`, which is dead, still held.
    pub(crate) fn reclaim(&mut self, holder: Holder) {
        let held = |&index: &usize| self.blocks[index].holder == holder;
        let held: Vec<_> = self.handed.iter().copied().filter(held).collect();
        held.into_iter().for_each(|index| self.free_lent(index));
    }

    /// Free blocks whose pages are more than is worth keeping.
    #[must_use]
    pub(crate) fn cooling(&mut self) -> Cooling {
        Cooling(std::mem::take(&mut self.cooling))
    }

    /// Takes in what has come back since the last call: drafts, and some of what was lent.
    fn take_back(&mut self, class: usize) {
        self.take_returned();
        let mut looks = LOOKS;
        // The newest first: a stream of short-lived blocks among many that stay.
        while let Some(&newest) = self.handed.last()
            && !self.has_free(class)
            && looks > LOOKS / 2
        {
            looks -= 1;
            if !self.look(newest) {
                break;
            }
        }
        self.look_around(looks);
    }

    fn take_returned(&mut self) {
        let returned =
            std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        for (index, warm) in returned {
            self.blocks[index].warm = warm;
            self.release(index);
        }
    }

    /// Looks at `looks` lent blocks, and takes in those that have come back. Each pays for a look
    /// at some more, so the cost is bounded in the long run, and so is the share of blocks that are
    /// free and not known to be. For an owner that takes no blocks: their pages would stay until it
    /// does.
    pub(crate) fn look_around(&mut self, mut looks: usize) {
        while looks > 0 && !self.handed.is_empty() {
            looks -= 1;
            if self.next_look >= self.handed.len() {
                self.next_look = 0;
            }
            if self.look(self.handed[self.next_look]) {
                looks += LOOKS;
            } else {
                self.next_look += 1;
            }
        }
    }

    /// Whether blocks are lent that may come back.
    #[must_use]
    pub(crate) fn has_lent(&self) -> bool {
        !self.handed.is_empty()
    }

    fn has_free(&self, class: usize) -> bool {
        self.free.get(&class).is_some_and(|free| !free.is_empty())
    }

    /// Puts a block among the free ones, unless those have enough pages without its own.
    fn release(&mut self, index: usize) {
        self.take_from_handed(index);
        let block = &mut self.blocks[index];
        block.holder = NOBODY;
        if block.warm > 0 && self.free_warm + block.warm > WARM_LIMIT {
            self.cooling.push(self.draft(index, 0));
            return;
        }
        self.free_warm += block.warm;
        let free = self.free.entry(block.class).or_default();
        if block.warm > 0 {
            free.push_back(index);
        } else {
            free.push_front(index);
        }
    }

    fn find(&self, block: BlockRef) -> Option<usize> {
        self.blocks.binary_search_by_key(&block.offset, |b| b.offset).ok()
    }

    fn new_block(&mut self, class: usize) -> io::Result<usize> {
        let offset = Window::place(self.end, class).ok_or(io::ErrorKind::OutOfMemory)?;
        let window = Window::around(offset, class);
        let map = match &self.window {
            Some((newest, map)) if *newest == window => Arc::clone(map),
            // Pages behind the end of the file are not touched.
            _ => Arc::new(Mapping::new(self.fd.as_fd(), window.start, window.length)?),
        };
        // The memory cannot shrink again, so it grows after all else that may fail.
        memfd::grow(self.fd.as_fd(), offset + class as u64)?;
        self.end = offset + class as u64;
        let start = map.start_of(offset - window.start);
        self.window = Some((window, Arc::clone(&map)));
        let (warm, holder, place) = (0, NOBODY, None);
        self.blocks.push(OwnedBlock { offset, class, map, start, warm, holder, place });
        Ok(self.blocks.len() - 1)
    }
}

#[cfg(test)]
#[path = "heap_tests.rs"]
mod tests;
