//! Consumer batching: a consumer that is faster than its producers pauses for up to half a
//! microsecond before it looks, so that a look finds several items.
//!
//! Each look at the producers' count takes the cache line that it is in from them, and with their
//! next commit they take it back: some 100 ns each way, while the item itself costs 20 ns. And each
//! time that a consumer goes to sleep over a gap of a microsecond, some producer has to wake it. A
//! consumer that takes an item, looks, takes the next one and looks again makes all of them that
//! slow. So a consumer whose items come fast pauses before it looks.
//!
//! The pause adapts: it is halved when fewer than one item for each 40 ns of it came meanwhile,
//! kept when 32 or more came, and else doubled, to 24 spins (half a microsecond) at most. Where a
//! process waits for answers, one item at a time, it soon is 0. It is an optimisation only, and
//! each process notes its own.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks that found few items, after which a pause is tried.
const FUTILE: u32 = 16;
/// The pause that is tried first, in spins of some 20 ns.
const SHORTEST: u32 = 2;
/// The longest pause.
const LONGEST: u32 = 24;
/// The items that a pause aims at: one that brings so many is not made longer. With a quarter of
/// them there already, none is made.
const PLENTY: u64 = 32;
/// How many looks a wait begins with, before it is one that may end in sleep.
const LOOKS: u32 = 32;
/// An item that comes within this many of these looks counts as one of a fast stream.
const FAST: u32 = 12;

/// What this process knows of how its items come.
#[derive(Debug, Default)]
pub(super) struct Batching {
    /// How many spins it pauses for before it looks again.
    pause: AtomicU32,
    /// How many looks have found few items or none since a pause was last tried.
    futile: AtomicU32,
}

// Relaxed: guesses, each of which stands for itself.
impl Batching {
    #[cfg(test)]
    pub(super) fn pause(&self) -> u32 {
        self.pause.load(Ordering::Relaxed)
    }

    /// Whether `available` items are so few that the caller had better let more
    /// [come](Self::wait_for_batch).
    #[inline]
    pub(super) fn wants_batch(&self, available: u64) -> bool {
        if available >= PLENTY / 4 {
            return false;
        }
        let Self { pause, futile } = self;
        if pause.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let so_far = futile.load(Ordering::Relaxed);
        futile.store((so_far + 1) % FUTILE, Ordering::Relaxed);
        if so_far + 1 == FUTILE {
            pause.store(SHORTEST, Ordering::Relaxed);
        }
        false
    }

    /// Pauses, where `length` counts the items. Not to be called in a guard.
    #[cold]
    pub(super) fn wait_for_batch(&self, length: impl Fn() -> u64) {
        let pause = self.pause.load(Ordering::Relaxed);
        let before = length();
        for _ in 0..pause {
            std::hint::spin_loop();
        }
        let gathered = length().saturating_sub(before);
        let next = match gathered {
            _ if gathered * 2 < u64::from(pause) => pause / 2,
            0..PLENTY => (pause * 2).min(LONGEST),
            _ => pause,
        };
        self.pause.store(next, Ordering::Relaxed);
    }

    /// Looks for items up to [`LOOKS`] times, about as long as going to sleep and being woken takes
    /// a core; whether there are some.
    pub(super) fn await_for_a_moment(&self, length: impl Fn() -> u64) -> bool {
        for looks in 0..LOOKS {
            if length() > 0 {
                if looks <= FAST {
                    self.pause.fetch_max(SHORTEST, Ordering::Relaxed);
                }
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}
