//! Descriptors that this process inherited by number.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// Takes up an open descriptor that the parent process passed by its number, and keeps it from
/// programs that this process executes.
///
/// The caller vouches that the number was passed for this purpose and is taken up once.
///
/// # Errors
/// `InvalidInput` if the number is that of no open descriptor.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a number that is not open gives an error below and is not used.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: it is open, and by the contract above nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A duplicate of an open descriptor that a program knows by its number.
///
/// # Errors
/// `BADF` if the number is that of no open descriptor; the system's when descriptors have run out.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: to duplicate a number that is not open gives an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(borrowed, 0)?)
}
