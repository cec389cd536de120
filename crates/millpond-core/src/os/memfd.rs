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
    // Asked for more than there is, the kernel would kill processes to find it.
    if length >= LARGE && available().is_some_and(|available| length > available) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    loop {
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, length) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Below this nobody asks first whether there is enough: asking costs some 20 µs.
const LARGE: u64 = 64 << 20;

/// How many bytes of memory and swap could be had, by the kernel's estimate.
fn available() -> Option<u64> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = report.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((field("MemAvailable:")? + field("SwapFree:").unwrap_or(0)) << 10)
}

/// Gives the pages of a range back to the system; they read as zero afterwards.
///
/// # Errors
/// The system's.
pub fn discard(fd: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(fd, flags, offset, length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn more_than_there_is_is_an_error_and_kills_nobody() {
        let there_is = available().expect("procfs");
        assert!(there_is > 0);
        let fd = create("millpond-test", 0).expect("memory");
        for length in [there_is + (8 << 30), 1 << 60] {
            let error = reserve(fd.as_fd(), 0, length).expect_err("more than there is");
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        }
        reserve(fd.as_fd(), 0, LARGE).expect("as much as there is");
    }
}
