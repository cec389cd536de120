//! The counters in a memory's header by which processes know of others that have the memory or will
//! have it: wire handles and descriptors given for one use, those used, and processes that became
//! present.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::futex;

/// In the count of what was given: any number of processes may open the memory, uncounted.
const UNCOUNTED: u32 = 1 << 31;

/// How many ways to the memory were given to processes that were to open it once, and how many of
/// these did. Lies in the memory; all zero is that of new memory.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Handed {
    given: AtomicU32,
    opened: AtomicU32,
    /// Twice how often a process became present, and whether one could not.
    joined: AtomicU32,
}

/// In the count of processes that became present: some process could not.
const UNSEEN: u32 = 1;

/// What [`Handed`] said at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts(u32, u32);

impl Handed {
    /// A process was given a way that it uses once.
    pub(crate) fn give(&self) {
        // Release: a process that sees the way used sees it given. The uncounted stay uncounted.
        let count = |given: u32| (given & UNCOUNTED == 0).then(|| given + 1);
        let _ = self.given.fetch_update(Ordering::Release, Ordering::Relaxed, count);
    }

    /// The calling process has used such a way, and is present.
    pub(crate) fn open(&self) {
        // Release: as above.
        self.opened.fetch_add(1, Ordering::Release);
    }

    /// From now on any process may open the memory, as far as can be told.
    pub(crate) fn give_to_anybody(&self) {
        // Relaxed: a way that is given afterwards travels in a message, which orders this before
        // its use.
        if self.given.load(Ordering::Relaxed) & UNCOUNTED == 0 {
            self.given.fetch_or(UNCOUNTED, Ordering::Release);
        }
    }

    /// The calling process has become present, or could not. Wakes the threads that sleep on
    /// [`joined`](Self::joined).
    pub(crate) fn join(&self, is_present: bool) {
        // Release: a process that sees this sees the caller's record lock; the kernel orders those
        // anyway.
        match is_present {
            true => self.joined.fetch_add(2, Ordering::Release),
            false => self.joined.fetch_or(UNSEEN, Ordering::Release),
        };
        futex::wake(&self.joined, u32::MAX);
    }

    /// The word that counts processes that became present. It changes with the next, which wakes
    /// the threads that sleep on it.
    pub(crate) fn joined(&self) -> &AtomicU32 {
        &self.joined
    }

    /// Whether every process that has used the memory is present, if this is what
    /// [`joined`](Self::joined) says.
    pub(crate) fn are_all_seen(joined: u32) -> bool {
        joined & UNSEEN == 0
    }

    /// The counts, if all that was given was opened.
    pub(crate) fn settled(&self) -> Option<Counts> {
        // Acquire: pairs with the release of `give` and `open`. `opened` first: it is never more
        // than what had been given by then.
        let opened = self.opened.load(Ordering::Acquire);
        let given = self.given.load(Ordering::Acquire);
        (opened == given).then_some(Counts(given, opened))
    }
}
