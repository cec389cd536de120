//! A segment: shared memory with a fixed part that is always mapped and a heap that grows.
//!
//! ```text
//! 0        fixed part (cursors, rings, event counts)   HEAP_START          grows
//! ├───────────────────────────────────────────────────┼───────────┬───────┬────▶
//! │ mapped by every process that attaches             │ block     │ block │
//! └───────────────────────────────────────────────────┴───────────┴───────┴────
//! ```
//!
//! One process, the heap's owner, allocates blocks; any process that has the descriptor maps a
//! block by its offset. So a large payload needs no descriptor of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use crate::os::map::Mapping;
use crate::os::memfd;

/// Where blocks begin in every segment.
pub(crate) const HEAP_START: u64 = 1 << 20;

/// Shared memory whose fixed part is mapped.
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    fixed: Mapping,
}

impl Segment {
    /// New zero-filled memory with `fixed` mapped bytes, which forked children do not see.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub(crate) fn create(name: &str, fixed: usize) -> io::Result<Self> {
        let segment = Self::attach(memfd::create(name, HEAP_START)?, fixed)?;
        segment.fixed.not_in_forked_children()?;
        Ok(segment)
    }

    /// Maps memory that another process created.
    ///
    /// # Errors
    /// The system's; `InvalidData` if the memory is too small to be a segment.
    pub(crate) fn attach(fd: OwnedFd, fixed: usize) -> io::Result<Self> {
        debug_assert!(fixed as u64 <= HEAP_START);
        if rustix::fs::fstat(&fd)?.st_size.cast_unsigned() < HEAP_START {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let fixed = Mapping::new(fd.as_fd(), 0, fixed)?;
        Ok(Self { fd, fixed })
    }

    /// The first byte of the fixed part, which stays mapped as long as the segment lives.
    #[must_use]
    pub(crate) fn fixed(&self) -> NonNull<u8> {
        self.fixed.start()
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
