//! A semaphore's fast path: one word, which one process (the *favourite*), or every process if
//! permits are messages, changes by one exchange to acquire or release.
//!
//! ```text
//! 63       42 41        26 25          1   0
//! │ pid (22) │ held (16)  │ free (25)  │ QUICK │
//!
//! pid    of the process that holds `held` permits; 0: nobody's, permits are messages
//! free   while QUICK: how many permits can be acquired, exactly
//! QUICK  the word says all there is to know: acquire is held + 1, free − 1; release the reverse
//! ```
//!
//! QUICK is taken away before anything else of the semaphore changes, and set again with what is
//! free then. So an exchange that finds it acquires a permit that is there.

use crate::sync::atomic::{AtomicU64, Ordering};

const QUICK: u64 = 1;
const FREE: u32 = 1;
const HELD: u32 = 26;
const PID: u32 = 42;

const MOST_FREE: u32 = (1 << (HELD - FREE)) - 1;
/// The most permits in the word's `held`.
pub(crate) const MOST_HELD: u32 = (1 << (PID - HELD)) - 1;

/// The word; all zero says that no permit is held by the favourite, and that the fast path is
/// barred.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Permits(AtomicU64);

/// What the word says at some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said(u64);

impl Said {
    pub(crate) fn is_quick(self) -> bool {
        self.0 & QUICK != 0
    }

    #[inline]
    fn free(self) -> u32 {
        // 25 bits fit, as do 16 and 22 below.
        (self.0 >> FREE) as u32 & MOST_FREE
    }

    #[inline]
    pub(crate) fn held(self) -> u32 {
        (self.0 >> HELD) as u32 & MOST_HELD
    }

    #[inline]
    pub(crate) fn pid(self) -> u32 {
        (self.0 >> PID) as u32
    }

    #[inline]
    fn acquired(self) -> Option<Self> {
        let is_there = self.free() > 0 && self.held() < MOST_HELD;
        is_there.then(|| Self(self.0 - (1 << FREE) + (1 << HELD)))
    }

    #[inline]
    fn released(self, bound: u32) -> Option<Self> {
        let is_right = self.held() > 0 && self.free() < bound.min(MOST_FREE);
        is_right.then(|| Self(self.0 + (1 << FREE) - (1 << HELD)))
    }
}

impl Permits {
    /// Acquires a permit if that needs nothing but this word, which `is_for` judges by its pid.
    #[inline]
    pub(crate) fn acquire(&self, is_for: impl Fn(u32) -> bool) -> bool {
        // Acquire: what was done before the release of the permit is visible to its new holder.
        self.change(Ordering::Acquire, is_for, Said::acquired)
    }

    /// Releases a permit if that needs nothing but this word and stays within the bound.
    #[inline]
    pub(crate) fn release(&self, bound: u32, is_for: impl Fn(u32) -> bool) -> bool {
        // Release: as above.
        self.change(Ordering::Release, is_for, |said| said.released(bound))
    }

    #[inline]
    fn change(
        &self,
        order: Ordering,
        is_for: impl Fn(u32) -> bool,
        change: impl Fn(Said) -> Option<Said>,
    ) -> bool {
        // Relaxed: the exchange compares all that was seen.
        let mut said = self.say();
        loop {
            let next = change(said).filter(|_| said.is_quick() && is_for(said.pid()));
            let Some(next) = next else { return false };
            match self.0.compare_exchange_weak(said.0, next.0, order, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => said = Said(now),
            }
        }
    }

    /// Keeps all from being quick; what the word said before, of which `held` stays true until the
    /// caller [settles](Self::settle) it. The caller has the guard.
    pub(crate) fn bar(&self) -> Said {
        let said = self.say();
        if !said.is_quick() {
            // The guard orders this after the call that barred the word.
            return said;
        }
        // Acquire: what was done before a quick release is visible to an acquirer under the guard
        // and, by way of `settle`, to the quick ones after it.
        Said(self.0.fetch_and(!QUICK, Ordering::Acquire))
    }

    /// Says what is true now; `quick` permits others to be. The caller has the guard, and has
    /// barred the others.
    pub(crate) fn settle(&self, pid: u32, held: u32, free: u32, quick: bool) {
        // What is released quickly must fit as well.
        let quick = quick && free.saturating_add(held) <= MOST_FREE;
        let free = if quick { free } else { 0 };
        let said = u64::from(pid) << PID | u64::from(held) << HELD | u64::from(free) << FREE;
        // Release: for those that acquire quickly what is released here, or was barred here.
        self.0.store(said | u64::from(quick), Ordering::Release);
    }

    /// What the word says at this moment.
    #[inline]
    pub(crate) fn say(&self) -> Said {
        // Relaxed: for show, or to be compared by an exchange.
        Said(self.0.load(Ordering::Relaxed))
    }
}
