//! Descriptors that this process knows by their numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over an open descriptor, and keeps it from programs that this process executes.
///
/// # Errors
/// `InvalidInput` if the number is that of no open descriptor.
///
/// # Safety
/// The number was passed to the caller for this purpose, and is taken over once: nothing else in this
/// process closes the descriptor.
pub unsafe fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: sets a flag of a descriptor, or fails where there is none.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it is open, and nothing else owns it, as the caller promises.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A duplicate of an open descriptor that a program knows by its number.
///
/// # Errors
/// `BADF` if the number is that of no open descriptor; the system's when descriptors have run out.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: makes a new descriptor, or fails where there is none of this number.
    match unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it is new.
        new => Ok(unsafe { OwnedFd::from_raw_fd(new) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_descriptor_is_an_error() {
        for number in [-1, RawFd::MAX] {
            // SAFETY: there is none to be taken over.
            let adopted = unsafe { adopt(number) };
            assert_eq!(adopted.expect_err("none").kind(), io::ErrorKind::InvalidInput);
            assert_eq!(duplicate(number).expect_err("none").raw_os_error(), Some(libc::EBADF));
        }
    }
}
