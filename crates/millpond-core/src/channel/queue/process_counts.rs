//! `ProcessCounts`, a count for each process, of the handles or the tasks that it has.
//!
//! It changes under a guard that is not its own, one store at a time. Its places lie behind the unit
//! map and get pages as they are used, so that there are more of them than a machine has processes.

use std::io;
use std::os::fd::BorrowedFd;

use crate::channel::queue::layout::{PAGE, PLACES, PLACES_LENGTH};
use crate::os::identity::ProcessId;
use crate::os::memfd;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The part of per-process counts that lies in the control page; all zero is an empty one.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct ProcessCountsState {
    /// No place from this one on was ever taken; all before have pages.
    places: AtomicU32,
}

/// What lies in one place.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct ProcessCount {
    /// A process, of interest while the count is not 0.
    process: AtomicU64,
    count: AtomicU64,
}

const _: () = assert!(PLACES * size_of::<ProcessCount>() == PLACES_LENGTH);

/// Which of the counts of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    Producers,
    Consumers,
    Tasks,
}

/// Per-process counts with their places.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessCounts<'a> {
    pub(super) state: &'a ProcessCountsState,
    /// All that there can be.
    pub(super) places: &'a [ProcessCount],
    /// The file that they lie in, and where.
    pub(super) file: BorrowedFd<'a>,
    pub(super) start: usize,
}

// Relaxed throughout: the guard orders what happens under it.
impl<'a> ProcessCounts<'a> {
    fn known(&self) -> &'a [ProcessCount] {
        let known = self.state.places.load(Ordering::Relaxed) as usize;
        &self.places[..known.min(PLACES)]
    }

    fn of(&self, process: ProcessId) -> impl Iterator<Item = &'a ProcessCount> {
        let is_theirs = move |h: &&ProcessCount| {
            h.process.load(Ordering::Relaxed) == process.raw()
                && h.count.load(Ordering::Relaxed) > 0
        };
        self.known().iter().filter(is_theirs)
    }

    /// The place of a process, a free one if it has none.
    ///
    /// # Errors
    /// The system's, when memory has run out; `QuotaExceeded` if no place is left.
    pub(super) fn place(&self, process: ProcessId) -> io::Result<&'a ProcessCount> {
        let free = |h: &&ProcessCount| h.count.load(Ordering::Relaxed) == 0;
        match self.of(process).next().or_else(|| self.known().iter().find(free)) {
            Some(place) => Ok(place),
            None => self.fresh(),
        }
    }

    #[cold]
    pub(super) fn fresh(&self) -> io::Result<&'a ProcessCount> {
        let known = self.known().len();
        let Some(fresh) = self.places.get(known) else {
            let text = format!("{PLACES} processes use the queue, and it can tell no more apart");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        };
        let offset = size_of_val(self.known());
        if offset.is_multiple_of(PAGE) {
            memfd::reserve(self.file, (self.start + offset) as u64, PAGE as u64)?;
        }
        self.state.places.store(known as u32 + 1, Ordering::Relaxed);
        Ok(fresh)
    }

    /// Takes one from what a process has, if it has any.
    pub(super) fn subtract(&self, process: ProcessId) {
        if let Some(place) = self.of(process).next() {
            let now = place.count.load(Ordering::Relaxed).saturating_sub(1);
            place.count.store(now, Ordering::Relaxed);
        }
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u64 {
        let known = self.known().iter().map(|h| h.count.load(Ordering::Relaxed));
        known.fold(0, u64::saturating_add)
    }

    /// Processes that have some. Without the guard this is a glance.
    pub(super) fn holders(&self) -> impl Iterator<Item = ProcessId> + use<'a> {
        let having = self.known().iter().filter(|h| h.count.load(Ordering::Relaxed) > 0);
        having.filter_map(|h| ProcessId::from_raw(h.process.load(Ordering::Relaxed)))
    }

    /// Whether a process has some.
    pub(super) fn has(&self, process: ProcessId) -> bool {
        self.of(process).next().is_some()
    }

    /// Takes away all that a process has; how many.
    pub(super) fn remove(&self, process: ProcessId) -> u64 {
        self.of(process)
            .map(|place| place.count.swap(0, Ordering::Relaxed))
            .fold(0, u64::saturating_add)
    }
}

impl ProcessCount {
    /// Adds to what a process has, whose [place](ProcessCounts::place) this is. The guard was not
    /// left since.
    pub(super) fn add(&self, process: ProcessId, n: u32) {
        // The name first: with a count of 0 it says nothing.
        self.process.store(process.raw(), Ordering::Relaxed);
        let now = self.count.load(Ordering::Relaxed).saturating_add(n.into());
        self.count.store(now, Ordering::Relaxed);
    }
}
