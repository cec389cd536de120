//! Anonymous memory with a file descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::process::Resource;

use crate::os::memory;
use crate::os::refused::error_of;

/// Memory without a name that no size of `/dev/shm` bounds, zero-filled and `size` bytes long.
///
/// It can grow but never shrink, so that a mapped page of it cannot vanish (SIGBUS), and nobody can
/// forbid it to grow or to be written.
///
/// # Errors
/// The system's, when file descriptors or address space have run out.
pub fn create(name: &str, size: u64) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(error_of("memfd_create"))?;
    let seals = SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&fd, seals).map_err(error_of("fcntl"))?;
    grow(fd.as_fd(), size)?;
    Ok(fd)
}

/// Whether the memory can never shrink. It is not asked of memory of this process' own, but of what
/// another one sent, which might be anything.
#[must_use]
pub(crate) fn cannot_shrink(fd: BorrowedFd<'_>) -> bool {
    // EINVAL: no memfd.
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
}

/// Makes the memory at least `size` bytes long.
///
/// # Errors
/// The system's.
pub(crate) fn grow(fd: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    within_limit("ftruncate", size)?;
    rustix::fs::ftruncate(fd, size).map_err(error_of("ftruncate"))
}

/// Gives `length` bytes from `offset` real pages now, so that want of memory is an error here and
/// not a SIGBUS at the first touch.
///
/// # Errors
/// `StorageFull` or `OutOfMemory` when there is not enough.
pub(crate) fn reserve(fd: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    memory::ensure_left(length)?;
    within_limit("fallocate", offset.saturating_add(length))?;
    loop {
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, length) {
            Err(Errno::INTR) => {}
            done => return done.map_err(error_of("fallocate")),
        }
    }
}

/// Writes a word of memory that has pages and is mapped nowhere here. Other processes see it whole,
/// as it lies in one page, and see what this thread did before.
///
/// # Errors
/// The system's, where the limit on files forbids it.
pub(crate) fn store(fd: BorrowedFd<'_>, offset: u64, word: u32) -> io::Result<()> {
    within_limit("pwrite", offset + size_of::<u32>() as u64)?;
    rustix::io::pwrite(fd, &word.to_ne_bytes(), offset).map_err(error_of("pwrite"))?;
    Ok(())
}

/// Refuses a size that the limit on files forbids. The kernel would do so by a signal (SIGXFSZ), which
/// ends programs that do not ignore it.
fn within_limit(call: &'static str, size: u64) -> io::Result<()> {
    match rustix::process::getrlimit(Resource::Fsize).current {
        Some(limit) if size > limit => Err(error_of(call)(Errno::FBIG)),
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fork;
    use crate::os::pidfd::PidFd;

    #[test]
    fn what_files_may_not_have_is_an_error_and_no_signal() {
        let before = rustix::process::getrlimit(Resource::Fsize);
        // SAFETY: the child makes memory and system calls alone, and ends.
        let child = match unsafe { fork::fork() }.expect("fork") {
            fork::Forked::Child => {
                let limit = rustix::process::Rlimit { current: Some(4096), ..before };
                let refused = |done: io::Result<()>| {
                    done.is_err_and(|e| e.kind() == io::Error::from(Errno::FBIG).kind())
                };
                let ok = rustix::process::setrlimit(Resource::Fsize, limit).is_ok()
                    && create("millpond-test", 4096).is_ok_and(|fd| {
                        refused(reserve(fd.as_fd(), 4096, 1)) && refused(grow(fd.as_fd(), 8192))
                    });
                fork::exit_now(i32::from(!ok));
            }
            fork::Forked::Parent(child) => child,
        };
        let status = PidFd::open(child).expect("child").reap().expect("status");
        assert!(status.success(), "{status}");
    }

    #[test]
    fn memory_does_not_shrink_and_takes_no_more_seals() {
        let fd = create("millpond-test", 8192).expect("memory");
        assert!(cannot_shrink(fd.as_fd()));
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
        for seal in [SealFlags::GROW, SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
            assert_eq!(rustix::fs::fcntl_add_seals(&fd, seal), Err(Errno::PERM));
        }
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        assert!(!cannot_shrink(file.as_fd()));
    }

    #[test]
    fn more_than_there_is_is_an_error_and_kills_nobody() {
        let fd = create("millpond-test", 0).expect("memory");
        let error = reserve(fd.as_fd(), 0, 1 << 60).expect_err("more than there is");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        reserve(fd.as_fd(), 0, 64 << 20).expect("as much as there is");
    }
}
