//! What all processes of a pool share: the pool's bell, its settings, and a heap for arguments.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::channel::ring::Line;
use crate::shm::segment::Segment;
use crate::sync::bell::Bell;

const FIXED_BYTES: usize = 4096;

#[derive(Debug)]
#[repr(C)]
struct Header {
    bell: Line<Bell>,
    tasks_per_worker: AtomicU64,
    traced: AtomicU32,
    ending: AtomicU32,
}

/// The shared segment of a pool.
#[derive(Debug)]
pub struct Commons {
    header: NonNull<Header>,
    segment: Segment,
}

// SAFETY: the header lies in the segment, which this owns, and is only accessed as atomics.
unsafe impl Send for Commons {}
// SAFETY: as above.
unsafe impl Sync for Commons {}

impl Commons {
    /// New commons with a pool's settings.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn create(tasks_per_worker: Option<u64>, traced: bool) -> io::Result<Self> {
        let commons = Self::new(Segment::create("millpond-pool", FIXED_BYTES)?);
        // Relaxed: workers are started, and so synchronised with, afterwards.
        commons.header().tasks_per_worker.store(tasks_per_worker.unwrap_or(0), Ordering::Relaxed);
        commons.header().traced.store(traced.into(), Ordering::Relaxed);
        Ok(commons)
    }

    /// The commons behind a descriptor.
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

    /// The bell that workers ring.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.header().bell.0
    }

    /// After how many tasks a worker makes room for a fresh one.
    #[must_use]
    pub fn tasks_per_worker(&self) -> Option<u64> {
        Some(self.header().tasks_per_worker.load(Ordering::Relaxed)).filter(|&n| n > 0)
    }

    /// Whether workers note when tasks begin and end.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.header().traced.load(Ordering::Relaxed) != 0
    }

    /// Tells the workers that the pool ends now.
    pub fn end(&self) {
        // Release: pairs with `is_ending`; it guards no data.
        self.header().ending.store(1, Ordering::Release);
    }

    /// Whether the pool ends now, so that a worker which survives SIGTERM takes no more tasks.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.header().ending.load(Ordering::Acquire) != 0
    }

    /// The segment whose heap carries large arguments.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl AsFd for Commons {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}
