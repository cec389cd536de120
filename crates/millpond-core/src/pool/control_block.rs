//! What all processes of a pool share: the pool's event count, and a heap for arguments.
//!
//! Each worker can write here, so nothing here decides for others: a lost notification costs the
//! owner's next look, and what a worker is told lies in its own [link](crate::channel::link).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use crate::channel::ring::Line;
use crate::shm::segment::Segment;
use crate::sync::event_count::EventCount;

const FIXED_BYTES: usize = 4096;

#[derive(Debug)]
#[repr(C)]
struct Header {
    event_count: Line<EventCount>,
}

/// The shared segment of a pool.
#[derive(Debug)]
pub struct ControlBlock {
    header: NonNull<Header>,
    segment: Segment,
}

// SAFETY: the header lies in the segment, which this owns, and is only accessed as atomics.
unsafe impl Send for ControlBlock {}
// SAFETY: as above.
unsafe impl Sync for ControlBlock {}

impl ControlBlock {
    /// A new control block.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn create() -> io::Result<Self> {
        Ok(Self::new(Segment::create("millpond-pool", FIXED_BYTES)?))
    }

    /// The control block behind a descriptor.
    ///
    /// # Errors
    /// The system's.
    pub fn attach(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(Segment::attach(fd, FIXED_BYTES)?))
    }

    fn new(segment: Segment) -> Self {
        Self { header: segment.fixed().cast(), segment }
    }

    fn header(&self) -> &Header {
        // SAFETY: mapped and page-aligned as long as the segment lives; any bits are valid atomics.
        unsafe { self.header.as_ref() }
    }

    /// The event count that workers notify.
    #[must_use]
    pub fn event_count(&self) -> &EventCount {
        &self.header().event_count.0
    }

    /// The segment whose heap carries large arguments.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl AsFd for ControlBlock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}
