//! A tally: how many of something each process has.
//!
//! It changes under a guard that is not its own, one store at a time. More processes than it has
//! places for are counted together; what of those died is not known.

use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A tally with places for `N` processes; all zero is an empty one.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Tally<const N: usize> {
    /// What processes without a place have.
    others: AtomicU32,
    /// No place from this one on was ever taken.
    places: AtomicU32,
    holders: [Holder; N],
}

#[derive(Debug, Default)]
#[repr(C)]
struct Holder {
    /// A process, of interest while the count is not 0.
    who: AtomicU64,
    count: AtomicU64,
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self {
            others: AtomicU32::default(),
            places: AtomicU32::default(),
            holders: std::array::from_fn(|_| Holder::default()),
        }
    }
}

// Relaxed throughout: the guard orders what happens under it.
impl<const N: usize> Tally<N> {
    fn known(&self) -> &[Holder] {
        &self.holders[..(self.places.load(Ordering::Relaxed) as usize).min(N)]
    }

    fn place_of(&self, who: ProcessId) -> Option<&Holder> {
        let is_theirs = |h: &&Holder| h.who.load(Ordering::Relaxed) == who.raw();
        self.known().iter().filter(is_theirs).find(|h| h.count.load(Ordering::Relaxed) > 0)
    }

    /// Adds to what a process has.
    pub(super) fn add(&self, who: ProcessId, n: u32) {
        let free = |h: &&Holder| h.count.load(Ordering::Relaxed) == 0;
        let place = self.place_of(who).or_else(|| self.known().iter().find(free)).or_else(|| {
            let known = self.known().len();
            let fresh = self.holders.get(known)?;
            self.places.store(known as u32 + 1, Ordering::Relaxed);
            Some(fresh)
        });
        match place {
            Some(place) => {
                // Who first: with a count of 0 it says nothing.
                place.who.store(who.raw(), Ordering::Relaxed);
                let now = place.count.load(Ordering::Relaxed).saturating_add(n.into());
                place.count.store(now, Ordering::Relaxed);
            }
            None => {
                let now = self.others.load(Ordering::Relaxed).saturating_add(n);
                self.others.store(now, Ordering::Relaxed);
            }
        }
    }

    /// Takes one from what a process has, or from what those without a place have.
    pub(super) fn subtract(&self, who: ProcessId) {
        if let Some(place) = self.place_of(who) {
            let now = place.count.load(Ordering::Relaxed).saturating_sub(1);
            place.count.store(now, Ordering::Relaxed);
        } else {
            let now = self.others.load(Ordering::Relaxed).saturating_sub(1);
            self.others.store(now, Ordering::Relaxed);
        }
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u64 {
        let known = self.known().iter().map(|h| h.count.load(Ordering::Relaxed));
        let others = self.others.load(Ordering::Relaxed).into();
        known.fold(others, u64::saturating_add)
    }

    /// Processes that have some. Without the guard this is a glance.
    pub(super) fn holders(&self) -> impl Iterator<Item = ProcessId> {
        let having = self.known().iter().filter(|h| h.count.load(Ordering::Relaxed) > 0);
        having.filter_map(|h| ProcessId::from_raw(h.who.load(Ordering::Relaxed)))
    }

    /// Takes away all that a process has; how many.
    pub(super) fn remove(&self, who: ProcessId) -> u64 {
        let Some(place) = self.place_of(who) else {
            return 0;
        };
        let count = place.count.load(Ordering::Relaxed);
        place.count.store(0, Ordering::Relaxed);
        count
    }
}
