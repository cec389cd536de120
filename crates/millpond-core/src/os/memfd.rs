//! Anonymous memory with a file descriptor.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

/// Memory without a name that no size of `/dev/shm` bounds, zero-filled and `size` bytes long.
///
/// It can grow but never shrink, so that a mapped page of it cannot vanish (SIGBUS).
///
/// # Errors
/// The system's, when file descriptors or address space have run out.
pub fn create(name: &str, size: u64) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK)?;
    rustix::fs::ftruncate(&fd, size)?;
    Ok(fd)
}

/// Makes the memory at least `size` bytes long.
///
/// # Errors
/// The system's.
pub fn grow(fd: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(fd, size)?)
}

/// Gives `length` bytes from `offset` real pages now, so that want of memory is an error here and
/// not a SIGBUS at the first touch.
///
/// # Errors
/// `StorageFull` or `OutOfMemory` when there is not enough.
pub fn reserve(fd: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, length) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Gives the pages of a range back to the system; they read as zero afterwards.
///
/// # Errors
/// The system's.
pub fn discard(fd: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(fd, flags, offset, length)?)
}
