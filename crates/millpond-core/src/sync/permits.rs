//! A semaphore's fast path: one word, which one process (the *biased owner*), or every process if
//! permits are messages, changes by one exchange to acquire or release.
//!
//! ```text
//! 63       42 41        26 25          1   0
//! │ pid (22) │ held (16)  │ free (25)  │ FAST │
//!
//! pid    of the process that holds `held` permits; 0: of none, permits are messages
//! free   while FAST: how many permits can be acquired, exactly
//! FAST   the word says all there is to know: acquire is held + 1, free − 1; release the reverse
//! ```
//!
//! FAST is taken away before anything else of the semaphore changes, and set again with what is
//! free then. So an exchange that finds it acquires a permit that is there.

use crate::sync::atomic::{AtomicU64, Ordering};

const FAST: u64 = 1;
const FREE: u32 = 1;
const HELD: u32 = 26;
const PID: u32 = 42;

const MAX_FREE: u32 = (1 << (HELD - FREE)) - 1;
/// The most permits in the word's `held`.
pub(crate) const MAX_HELD: u32 = (1 << (PID - HELD)) - 1;

/// The word; all zero says that no permit is held by the biased owner, and that the fast path is
/// barred.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Permits(AtomicU64);

/// What the word says at some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermitWord(u64);

impl PermitWord {
    pub(crate) fn is_fast(self) -> bool {
        self.0 & FAST != 0
    }

    #[inline]
    fn free(self) -> u32 {
        // 25 bits fit, as do 16 and 22 below.
        (self.0 >> FREE) as u32 & MAX_FREE
    }

    #[inline]
    pub(crate) fn held(self) -> u32 {
        (self.0 >> HELD) as u32 & MAX_HELD
    }

    #[inline]
    pub(crate) fn pid(self) -> u32 {
        (self.0 >> PID) as u32
    }

    #[inline]
    fn acquired(self) -> Option<Self> {
        let is_there = self.free() > 0 && self.held() < MAX_HELD;
        is_there.then(|| Self(self.0 - (1 << FREE) + (1 << HELD)))
    }

    #[inline]
    fn released(self, bound: u32) -> Option<Self> {
        let is_right = self.held() > 0 && self.free() < bound.min(MAX_FREE);
        is_right.then(|| Self(self.0 + (1 << FREE) - (1 << HELD)))
    }
}

impl Permits {
    /// Acquires a permit if that needs nothing but this word, which `is_for` judges by its pid.
    #[inline]
    pub(crate) fn acquire(&self, is_for: impl Fn(u32) -> bool) -> bool {
        // Acquire: what was done before the release of the permit is visible to its new holder.
        self.change(Ordering::Acquire, is_for, PermitWord::acquired)
    }

    /// Releases a permit if that needs nothing but this word and stays within the bound.
    #[inline]
    pub(crate) fn release(&self, bound: u32, is_for: impl Fn(u32) -> bool) -> bool {
        // Release: as above.
        self.change(Ordering::Release, is_for, |seen| seen.released(bound))
    }

    #[inline]
    fn change(
        &self,
        order: Ordering,
        is_for: impl Fn(u32) -> bool,
        change: impl Fn(PermitWord) -> Option<PermitWord>,
    ) -> bool {
        // Relaxed: the exchange compares all that was seen.
        let mut seen = self.load();
        loop {
            let next = change(seen).filter(|_| seen.is_fast() && is_for(seen.pid()));
            let Some(next) = next else { return false };
            match self.0.compare_exchange_weak(seen.0, next.0, order, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = PermitWord(now),
            }
        }
    }

    /// Keeps all from being fast; what the word said before, of which `held` stays true until the
    /// caller [settles](Self::settle) it. The caller has the guard.
    pub(crate) fn bar(&self) -> PermitWord {
        let seen = self.load();
        if !seen.is_fast() {
            // The guard orders this after the call that barred the word.
            return seen;
        }
        // Acquire: what was done before a fast release is visible to an acquirer under the guard
        // and, by way of `settle`, to the fast ones after it.
        PermitWord(self.0.fetch_and(!FAST, Ordering::Acquire))
    }

    /// Says what is true now; `fast` permits others to be. The caller has the guard, and has
    /// barred the others.
    pub(crate) fn settle(&self, pid: u32, held: u32, free: u32, fast: bool) {
        // What is released on the fast path must fit as well.
        let fast = fast && free.saturating_add(held) <= MAX_FREE;
        let free = if fast { free } else { 0 };
        let seen = u64::from(pid) << PID | u64::from(held) << HELD | u64::from(free) << FREE;
        // Release: for those that acquire quickly what is released here, or was barred here.
        self.0.store(seen | u64::from(fast), Ordering::Release);
    }

    /// What the word says at this moment.
    #[inline]
    pub(crate) fn load(&self) -> PermitWord {
        // Relaxed: for show, or to be compared by an exchange.
        PermitWord(self.0.load(Ordering::Relaxed))
    }
}
