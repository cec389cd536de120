//! Descriptors that the program does not know of, and may close.
//!
//! A program that becomes a daemon closes all descriptors that it did not open; their numbers are
//! then given to other files.

use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::fs::{CWD, readlinkat};

/// A descriptor that is used and closed only as long as its number is that of the same kind of file.
#[derive(Debug)]
pub(crate) struct KeptFd<T: AsFd> {
    fd: ManuallyDrop<T>,
    kind: CString,
}

impl<T: AsFd> KeptFd<T> {
    /// Keeps a descriptor; `None` where procfs does not tell what its file is, and it is closed.
    pub(crate) fn new(fd: T) -> Option<Self> {
        let kind = kind(fd.as_fd().as_raw_fd())?;
        Some(Self { fd: ManuallyDrop::new(fd), kind })
    }

    /// Its number, which may be that of another file by now: for a poll, whose caller then looks anew.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }

    /// The descriptor, unless the program has closed it.
    pub(crate) fn get(&self) -> Option<&T> {
        (kind(self.number()).as_ref() == Some(&self.kind)).then(|| &*self.fd)
    }
}

impl<T: AsFd> Drop for KeptFd<T> {
    fn drop(&mut self) {
        if self.get().is_some() {
            // SAFETY: it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

/// What the system calls the file of a descriptor.
fn kind(number: RawFd) -> Option<CString> {
    readlinkat(CWD, format!("/proc/self/fd/{number}"), Vec::new()).ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

    use super::*;
    use crate::os::eventfd::EventFd;
    use crate::sync::testing::Child;

    #[test]
    fn what_has_its_number_later_is_not_closed() {
        Child::check(|| {
            let kept = KeptFd::new(EventFd::new().expect("a descriptor")).expect("procfs");
            assert!(kept.get().is_some());
            let number = kept.number();
            // SAFETY: as a program does that closes what it does not know.
            drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) });
            assert!(kept.get().is_none());
            let file = std::fs::File::open("/dev/null").expect("a file");
            assert_eq!(file.as_raw_fd(), number);
            drop(kept);
            assert!(file.metadata().is_ok());
        });
    }
}
