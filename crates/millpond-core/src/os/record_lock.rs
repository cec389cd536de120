//! Locks on single bytes of a file, which need not exist: numbers that a process shows to others.
//!
//! Two kinds, which see each other. One of an *open file description* ends with its last reference,
//! and a mapping is one: it outlasts all descriptors and ends with the address space, by `exec` as
//! by death. One of the *process* ends when the process closes any descriptor of the file.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Locks a byte, shared with others, until the open file description that `fd` refers to is gone.
///
/// # Errors
/// The system's; `InvalidInput` where it does not know such locks.
pub(crate) fn lock_for_description(fd: BorrowedFd<'_>, byte: u64) -> io::Result<()> {
    call(fd, libc::F_OFD_SETLK, &mut of_byte(byte, libc::F_RDLCK)?)
}

/// Locks a byte, shared with others, until the calling process ends or closes a descriptor of the
/// file.
///
/// # Errors
/// The system's.
pub(crate) fn lock_for_process(fd: BorrowedFd<'_>, byte: u64) -> io::Result<()> {
    call(fd, libc::F_SETLK, &mut of_byte(byte, libc::F_RDLCK)?)
}

/// Whether another process, or an open file description, has locked a byte.
///
/// # Errors
/// The system's.
pub(crate) fn is_locked(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    is_any_locked(fd, byte..byte + 1)
}

/// The same for any of several bytes.
///
/// # Errors
/// The system's.
pub(crate) fn is_any_locked(fd: BorrowedFd<'_>, bytes: Range<u64>) -> io::Result<bool> {
    Ok(any_locked(fd, bytes)?.is_some())
}

/// One of several bytes that another process, or an open file description, has locked.
///
/// # Errors
/// The system's.
pub(crate) fn any_locked(fd: BorrowedFd<'_>, bytes: Range<u64>) -> io::Result<Option<u64>> {
    // A shared lock is in the way of an exclusive one.
    let mut lock = of_bytes(bytes, libc::F_WRLCK)?;
    call(fd, libc::F_GETLK, &mut lock)?;
    let is_locked = i32::from(lock.l_type) != libc::F_UNLCK;
    Ok(is_locked.then_some(lock.l_start.cast_unsigned()))
}

fn of_byte(byte: u64, kind: i32) -> io::Result<libc::flock> {
    of_bytes(byte..byte + 1, kind)
}

fn of_bytes(bytes: Range<u64>, kind: i32) -> io::Result<libc::flock> {
    let outside = |_| io::Error::from(io::ErrorKind::InvalidInput);
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: i64::try_from(bytes.start).map_err(outside)?,
        l_len: i64::try_from(bytes.end - bytes.start).map_err(outside)?,
        l_pid: 0,
    })
}

fn call(fd: BorrowedFd<'_>, command: i32, lock: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: all three commands take a `flock`, which they may write to.
        if unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, std::ptr::from_mut(lock)) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
