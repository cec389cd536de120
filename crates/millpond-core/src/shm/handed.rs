//! How many processes were given a way to some memory, and how many have used theirs.

use std::sync::atomic::{AtomicU32, Ordering};

/// In the count of what was given: nobody counts who can open the memory.
const UNCOUNTED: u32 = 1 << 31;

/// How many ways to the memory were given to processes that were to open it once, and how many of
/// these did. Lies in the memory; all zero is that of new memory.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Handed {
    given: AtomicU32,
    opened: AtomicU32,
}

/// What [`Handed`] said at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts(u32, u32);

impl Handed {
    /// A process was given a way that it uses once.
    pub(crate) fn give(&self) {
        // Release: who sees the way used sees it given. The uncounted stay uncounted.
        let count = |given: u32| (given & UNCOUNTED == 0).then(|| given + 1);
        let _ = self.given.fetch_update(Ordering::Release, Ordering::Relaxed, count);
    }

    /// The calling process has used such a way, and is present.
    pub(crate) fn open(&self) {
        // Release: as above.
        self.opened.fetch_add(1, Ordering::Release);
    }

    /// From now on anybody may open the memory, as far as can be told.
    pub(crate) fn give_to_anybody(&self) {
        // Relaxed: who is given a way afterwards is told of it by other means.
        if self.given.load(Ordering::Relaxed) & UNCOUNTED == 0 {
            self.given.fetch_or(UNCOUNTED, Ordering::Release);
        }
    }

    /// The counts, if all that was given was opened.
    pub(crate) fn settled(&self) -> Option<Counts> {
        // Acquire: pairs with the release of whoever counted. What was opened first: it is never
        // more than what had been given by then.
        let opened = self.opened.load(Ordering::Acquire);
        let given = self.given.load(Ordering::Acquire);
        (opened == given).then_some(Counts(given, opened))
    }
}
