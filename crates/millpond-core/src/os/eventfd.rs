//! A counter that wakes an epoll waiter, shared with the processes that inherit it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::EventfdFlags;

use crate::os::refused::error_of;

/// An `eventfd(2)`: [`signal`](EventFd::signal) makes it readable until [`clear`](EventFd::clear).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, not signalled.
    ///
    /// # Errors
    /// The system's, when file descriptors have run out.
    pub fn new() -> io::Result<Self> {
        Ok(Self(
            rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(error_of("eventfd2"))?,
        ))
    }

    /// Wakes the threads that poll it; never blocks.
    pub fn signal(&self) {
        // A full counter (EAGAIN) is a signalled one, which is all that is wanted.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Takes the signal back.
    pub fn clear(&self) {
        let mut count = [0; 8];
        // EAGAIN: it was not signalled.
        let _ = rustix::io::read(&self.0, &mut count);
    }
}

impl From<OwnedFd> for EventFd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
