//! Blocks that are out of their heap: to be filled, or to lose their pages, without the heap's lock.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::block::{BLOCK_HEADER, BlockRef, LENT};

/// Blocks begin at pages, and have whole ones.
const PAGE: u64 = 4096;

/// Blocks that came back to their heap without having been lent: which, and how many bytes of each
/// have pages.
pub(super) type Returns = Arc<Mutex<Vec<(usize, u64)>>>;

/// A block that was taken out of a heap, to be filled without the heap, and so without the lock that
/// the heap is under. Dropped, it goes back.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) index: usize,
    pub(super) block: BlockRef,
    pub(super) start: NonNull<u8>,
    /// Bytes that have pages, from the block's start.
    pub(super) warm: u64,
    /// Keeps the block mapped.
    pub(super) _map: Arc<Mapping>,
    pub(super) fd: Arc<OwnedFd>,
    /// `None` once it is lent.
    pub(super) back: Option<Returns>,
}

// SAFETY: the address lies in the mapping, which the draft keeps, and the block is the draft's alone.
unsafe impl Send for Draft {}
// SAFETY: as above; shared references read no byte of the block.
unsafe impl Sync for Draft {}

/// A block with a payload, to be [lent](crate::shm::heap::Heap::lend_filled). Dropped, it goes back to its heap.
#[derive(Debug)]
pub(crate) struct Filled(pub(super) Draft);

impl Draft {
    /// Has `fill` write the payload, behind pages that are reserved for it.
    ///
    /// # Errors
    /// `StorageFull` or `OutOfMemory` when there is not enough memory.
    pub(crate) fn fill(mut self, fill: impl FnOnce(&mut [u8])) -> io::Result<Filled> {
        let used = self.block.length + BLOCK_HEADER as u64;
        if self.warm < used {
            memfd::reserve(self.fd.as_fd(), self.block.offset, used)?;
            self.warm = used;
        }
        // A payload has been asked for by a `usize`.
        let length = usize::try_from(self.block.length).unwrap_or(0);
        // SAFETY: the block is in no other hands, so it is read and written here alone; header and
        // payload lie within the mapping.
        let payload = unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr().add(BLOCK_HEADER), length)
        };
        fill(payload);
        // SAFETY: page-aligned and mapped; used as an atomic by every process, and any bits are valid.
        let state = unsafe { self.start.cast::<AtomicU32>().as_ref() };
        // Relaxed: the reference to the block is published by the ring that carries it.
        state.store(LENT, Ordering::Relaxed);
        Ok(Filled(self))
    }

    /// Gives its pages back to the system.
    fn cool(mut self) {
        // The last page as a whole.
        let pages = self.warm.next_multiple_of(PAGE);
        if memfd::discard(self.fd.as_fd(), self.block.offset, pages).is_ok() {
            self.warm = 0;
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(back) = &self.back {
            let mut back = back.lock().unwrap_or_else(PoisonError::into_inner);
            back.push((self.index, self.warm));
        }
    }
}

/// Free blocks whose pages go back to the system when this is dropped, which takes its time and needs
/// no heap.
#[derive(Debug, Default)]
pub(crate) struct Cooling(pub(super) Vec<Draft>);

impl Drop for Cooling {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Draft::cool);
    }
}
