//! Shared mappings of anonymous memory.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Part of a memfd in the address space of this process, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is an address range, not tied to the thread that made it; whoever reads or
// writes through the pointer argues for that access.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method touches the mapped bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `fd` from `offset`, both multiples of the page size, for reading
    /// and writing, shared with every other process that maps them.
    ///
    /// # Errors
    /// The system's, when address space has run out.
    pub fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses a range that nothing in this process uses.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, prot, flags, fd, offset)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Keeps the mapping out of children that this process forks.
    ///
    /// # Errors
    /// The system's.
    pub fn not_in_forked_children(&self) -> io::Result<()> {
        let start = self.start.as_ptr().cast();
        // SAFETY: the range is a mapping of ours, and DONTFORK changes nothing in this process.
        unsafe { rustix::mm::madvise(start, self.length, Advice::LinuxDontFork) }?;
        Ok(())
    }

    /// The mapping that was forgotten at this place.
    ///
    /// # Safety
    /// `length` bytes at `start` are a mapping that [`Mapping::new`] made and whose destructor did
    /// not and will not run.
    #[must_use]
    pub unsafe fn from_raw(start: NonNull<u8>, length: usize) -> Self {
        Self { start, length }
    }

    /// The first mapped byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes are mapped.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and nobody else unmaps it; users of the pointer
        // hold the mapping alive.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
