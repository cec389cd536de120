//! The epoll set on which the supervisor's thread sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::os::eventfd::EventFd;
use crate::os::refused::error_of;
use crate::pool::zygote::client::ZygoteClient;

/// What the supervisor's thread sleeps on.
pub(super) struct Poller {
    pub(super) epoll: OwnedFd,
    /// Readable when the thread is to look at the list of pools again.
    pub(super) wake: EventFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poller = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(error_of("epoll_create1"))?,
            wake: EventFd::new()?,
        };
        poller.watch(poller.wake.as_fd(), Source::Wake)?;
        Ok(poller)
    }

    pub(super) fn watch(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.data(), EventFlags::IN)?)
    }

    pub(super) fn watch_zygote(&self, zygote: &ZygoteClient, key: u64) -> io::Result<()> {
        self.watch(zygote.as_fd(), Source::Zygote(key))?;
        self.watch(zygote.pidfd(), Source::Zygote(key))
    }

    pub(super) fn forget(&self, fd: BorrowedFd<'_>) {
        // Descriptors may be shared with forked children, so closing them is not enough.
        let _ = epoll::delete(&self.epoll, fd);
    }
}

/// What an epoll event is about.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Wake,
    /// A worker wants more tasks and no thread waits for the pool, or the pool was told to end.
    Watcher(u64),
    /// A zygote said something, or died.
    Zygote(u64),
}

impl Source {
    pub(super) fn data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Wake => 0,
            Self::Watcher(key) => key * 2,
            Self::Zygote(key) => key * 2 + 1,
        })
    }

    pub(super) fn from_data(data: EventData) -> Self {
        match data.u64() {
            0 => Self::Wake,
            n if n % 2 == 0 => Self::Watcher(n / 2),
            n => Self::Zygote(n / 2),
        }
    }
}
