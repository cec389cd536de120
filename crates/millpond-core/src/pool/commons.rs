//! What all processes of a pool share: the pool's bell, and a heap for arguments.
//!
//! Each worker can write here, so nothing here decides for others: a lost ring costs the owner's
//! next look, and what a worker is told lies in its own [link](crate::channel::link).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use crate::channel::ring::Line;
use crate::shm::segment::Segment;
use crate::sync::bell::Bell;

const FIXED_BYTES: usize = 4096;

#[derive(Debug)]
#[repr(C)]
struct Header {
    bell: Line<Bell>,
}

/// The shared segment of a pool.
#[derive(Debug)]
pub(crate) struct Commons {
    header: NonNull<Header>,
    segment: Segment,
}

// SAFETY: the header lies in the segment, which this owns, and is only accessed as atomics.
unsafe impl Send for Commons {}
// SAFETY: as above.
unsafe impl Sync for Commons {}

impl Commons {
    /// New commons.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub(crate) fn create() -> io::Result<Self> {
        Ok(Self::new(Segment::create("millpond-pool", FIXED_BYTES)?))
    }

    /// The commons behind a descriptor.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn attach(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(Segment::attach(fd, FIXED_BYTES)?))
    }

    fn new(segment: Segment) -> Self {
        Self { header: segment.fixed().cast(), segment }
    }

    fn header(&self) -> &Header {
        // SAFETY: mapped and page-aligned as long as the segment lives; any bits are valid atomics.
        unsafe { self.header.as_ref() }
    }

    /// The bell that workers ring.
    #[must_use]
    pub(crate) fn bell(&self) -> &Bell {
        &self.header().bell.0
    }

    /// The segment whose heap carries large arguments.
    #[must_use]
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl AsFd for Commons {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}
