//! The receiving side of a heap: blocks are read in place and go back when the lease is dropped.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::os::map::Mapping;
use crate::shm::heap::{BLOCK_HEADER, BlockRef, FREE, class_of, state};
use crate::shm::inheritance::Receipt;
use crate::shm::segment::HEAP_START;

/// Maps blocks of another process' heap, each once.
#[derive(Debug, Default)]
pub struct Importer {
    maps: HashMap<u64, Arc<Mapping>>,
}

/// The right to read, and to write, a lent block.
#[derive(Debug)]
pub struct Lease {
    map: Arc<Mapping>,
    length: usize,
    receipt: Receipt,
}

impl Importer {
    /// The block that a ring named, in the heap of the segment behind `fd`: always the same one.
    ///
    /// # Errors
    /// `InvalidData` for a reference that no heap could have made; the system's when address
    /// space has run out.
    pub fn open(&mut self, fd: BorrowedFd<'_>, block: BlockRef) -> io::Result<Lease> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let length = usize::try_from(block.length).map_err(|_| invalid())?;
        let class = class_of(length).ok_or_else(invalid)?;
        if let Some(map) = self.maps.get(&block.offset)
            && map.length() >= class
        {
            return Ok(Lease::new(Arc::clone(map), length));
        }
        let size = rustix::fs::fstat(fd)?.st_size.cast_unsigned();
        let end = block.offset.checked_add(class as u64).ok_or_else(invalid)?;
        if block.offset < HEAP_START || !block.offset.is_multiple_of(4096) || end > size {
            return Err(invalid());
        }
        let map = Arc::new(Mapping::new(fd, block.offset, class)?);
        self.maps.insert(block.offset, Arc::clone(&map));
        Ok(Lease::new(map, length))
    }
}

impl Lease {
    fn new(map: Arc<Mapping>, length: usize) -> Self {
        Self { map, length, receipt: Receipt::new() }
    }

    /// The payload of a block that is all of `map`, and longer than `length` with its header.
    pub(crate) fn of_block(map: Arc<Mapping>, length: usize) -> Self {
        assert!(length + BLOCK_HEADER <= map.length());
        Self::new(map, length)
    }

    /// The payload's first byte; valid and writable as long as the lease lives.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: the mapping is longer than the header.
        unsafe { self.map.start().add(BLOCK_HEADER) }
    }

    /// The payload's length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `open` checked that the payload lies within the mapping, and the sender does
        // not touch a block that is lent.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A forked child has a copy of the lease, not the lease, and may go on reading the block.
        if self.receipt.is_sole() {
            // Release: our reads and writes come before the owner's next use of the block.
            state(&self.map).store(FREE, Ordering::Release);
        }
    }
}
