//! The semaphore: permits that know, where it can be known, which process holds them.
//!
//! ```text
//! value = total − what each known holder holds − others
//!
//!   acquire   a known holder's count + 1, or others + 1
//!   release   a known holder's count − 1, or others − 1, or total + 1
//! ```
//!
//! Fields change under a guard, and each operation changes one of them by one store, so a death
//! under the guard leaves either the state before or the state after.
//!
//! **Whose permit.** As long as every release comes from a process that holds a permit, permits
//! belong to processes, and those of the dead are given back. Once a process releases what it does
//! not hold (or the first value was 0, which has no other use), the semaphore signals: its permits
//! are messages, not possessions, and nothing is given back from then on. More holders than the
//! table has room for are counted together; of those nothing is given back either.

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::shared::SharedObject;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::outcome::{After, LastLook, Misuse, Patience};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::sizes::{HOLDERS, fits};
use crate::sync::spin::with_thread_spin;
use crate::sync::turnstile::Turnstile;

/// The most permits that a semaphore can have.
pub const MOST_PERMITS: u32 = i32::MAX.cast_unsigned();

#[derive(Debug, Default)]
#[repr(C)]
struct Holder {
    /// A process, of interest while the count is not 0.
    who: AtomicU64,
    count: AtomicU32,
}

/// A semaphore in shared memory. Set it up with [`Semaphore::start`].
#[derive(Debug, Default)]
#[repr(C)]
pub struct Semaphore {
    guard: RobustWord,
    waiting: Turnstile,
    /// 1 once permits are messages.
    signals: AtomicU32,
    total: AtomicU32,
    others: AtomicU32,
    /// Releases beyond this value are refused.
    bound: AtomicU32,
    /// When somebody last looked for dead holders.
    looked: LastLook,
    /// No place from this one on was ever taken.
    places: AtomicU32,
    holders: [Holder; HOLDERS],
}

const _: () = assert!(fits::<Semaphore>(256));

// SAFETY: everything is atomic, and any bits are some state of it.
unsafe impl SharedObject for Semaphore {
    const KIND: u32 = u32::from_le_bytes(*b"sema");
}

/// The guard of a semaphore, given back when dropped.
struct Guard<'a>(&'a Semaphore, ProcessId);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.guard.release(self.1);
    }
}

// Relaxed throughout: the guard's acquire and release order what happens under it, and what is read
// without it is for show.
impl Semaphore {
    /// Gives a new semaphore its permits, before anybody else knows it.
    pub fn start(&self, value: u32, bound: u32) {
        self.total.store(value, Ordering::Relaxed);
        self.bound.store(bound, Ordering::Relaxed);
        self.signals.store(u32::from(value == 0), Ordering::Relaxed);
    }

    fn enter(&self, me: ProcessId) -> Guard<'_> {
        // Whoever died here left a state that is whole; see the module.
        let _ = self.guard.enter(me);
        Guard(self, me)
    }

    /// How many permits can be acquired, at this moment.
    #[must_use]
    pub fn value(&self) -> u32 {
        let others = self.others.load(Ordering::Relaxed);
        let counts = self.known().iter().map(|h| h.count.load(Ordering::Relaxed));
        let held = counts.fold(others, u32::saturating_add);
        self.total.load(Ordering::Relaxed).saturating_sub(held)
    }

    fn known(&self) -> &[Holder] {
        &self.holders[..(self.places.load(Ordering::Relaxed) as usize).min(HOLDERS)]
    }

    /// The value beyond which releases are refused.
    #[must_use]
    pub fn bound(&self) -> u32 {
        self.bound.load(Ordering::Relaxed)
    }

    /// How many permits the calling process is known to hold.
    #[must_use]
    pub fn held_here(&self) -> u32 {
        let mine = self.place_of(ProcessId::current());
        mine.map_or(0, |mine| mine.count.load(Ordering::Relaxed))
    }

    fn signals(&self) -> bool {
        self.signals.load(Ordering::Relaxed) != 0
    }

    /// Acquires a permit if there is one.
    pub fn try_acquire(&self) -> bool {
        let me = ProcessId::current();
        self.take(me).is_some()
            || (self.looked.is_due() && self.give_back() && self.take(me).is_some())
    }

    /// As [`try_acquire`](Self::try_acquire), in the words of a lock.
    pub fn attempt(&self) -> Taken {
        if self.try_acquire() { Taken::Clean } else { Taken::TimedOut }
    }

    /// Acquires a permit if there is one, and tells how many are left.
    fn take(&self, me: ProcessId) -> Option<u32> {
        let _guard = self.enter(me);
        let left = self.value().checked_sub(1)?;
        crash_point!("semaphore: entered to acquire");
        let place = if self.signals() { None } else { self.place_for(me) };
        match place {
            Some(place) => {
                // Who first: with a count of 0 it says nothing.
                place.who.store(me.raw(), Ordering::Relaxed);
                crash_point!("semaphore: place named");
                add(&place.count, 1);
            }
            None => add(&self.others, 1),
        }
        crash_point!("semaphore: acquired");
        Some(left)
    }

    /// The place of a process among the holders, a free one if it has none yet.
    fn place_for(&self, me: ProcessId) -> Option<&Holder> {
        let known = self.known();
        let free = |h: &&Holder| h.count.load(Ordering::Relaxed) == 0;
        self.place_of(me).or_else(|| known.iter().find(free)).or_else(|| {
            let fresh = self.holders.get(known.len())?;
            self.places.store(known.len() as u32 + 1, Ordering::Relaxed);
            Some(fresh)
        })
    }

    /// The place of a process that holds permits.
    fn place_of(&self, me: ProcessId) -> Option<&Holder> {
        self.known().iter().find(|h| {
            h.who.load(Ordering::Relaxed) == me.raw() && h.count.load(Ordering::Relaxed) > 0
        })
    }

    /// Waits for a permit until `deadline`, for ever without one. Never [`Taken::OwnerDied`]: the
    /// permits of the dead come back in silence.
    pub fn acquire(&self, deadline: Option<Instant>) -> Taken {
        let me = ProcessId::current();
        if self.take(me).is_some() {
            return Taken::Clean;
        }
        with_thread_spin(|spin| {
            let patience = Patience::until(deadline);
            let mut slept = false;
            loop {
                let seen = self.waiting.listen();
                if slept {
                    // Before the look: a permit that is released after it wakes the next.
                    self.waiting.leave();
                }
                if let Some(left) = self.take(me) {
                    if slept && left > 0 {
                        self.waiting.admit(1);
                    }
                    return Taken::Clean;
                }
                crash_point!("semaphore: before sleep");
                let woken = self.waiting.wait(seen, spin, patience.slice());
                slept = true;
                match patience.after(woken) {
                    After::Look => {}
                    After::LookForDead => {
                        self.give_back();
                    }
                    After::GiveUp => {
                        return if self.try_acquire() { Taken::Clean } else { Taken::TimedOut };
                    }
                    After::Interrupted => return Taken::Interrupted,
                }
            }
        })
    }

    /// Adds a permit, or gives one back.
    ///
    /// # Errors
    /// [`Misuse::TooManyReleases`] beyond the bound.
    pub fn release(&self) -> Result<(), Misuse> {
        let me = ProcessId::current();
        let guard = self.enter(me);
        if self.value() >= self.bound() {
            return Err(Misuse::TooManyReleases);
        }
        crash_point!("semaphore: entered to release");
        match self.place_of(me) {
            Some(mine) if !self.signals() => subtract(&mine.count, 1),
            _ if self.others.load(Ordering::Relaxed) > 0 => subtract(&self.others, 1),
            _ => {
                self.signals.store(1, Ordering::Relaxed);
                crash_point!("semaphore: signals noted");
                add(&self.total, 1);
            }
        }
        crash_point!("semaphore: released, before wake");
        drop(guard);
        self.waiting.admit(1);
        Ok(())
    }

    /// Gives back what dead processes hold; whether there was any.
    fn give_back(&self) -> bool {
        if self.signals() {
            return false;
        }
        let mut given = 0;
        for holder in self.known() {
            let who = holder.who.load(Ordering::Relaxed);
            let is_dead = holder.count.load(Ordering::Relaxed) > 0
                && ProcessId::from_raw(who).is_some_and(|who| !who.is_alive());
            if !is_dead {
                continue;
            }
            let _guard = self.enter(ProcessId::current());
            // Another waiter may have been faster, and the place may be somebody else's by now.
            if holder.who.load(Ordering::Relaxed) == who && !self.signals() {
                given += holder.count.load(Ordering::Relaxed);
                holder.count.store(0, Ordering::Relaxed);
                crash_point!("semaphore: gave back, before wake");
            }
        }
        if given > 0 {
            self.waiting.admit(given);
        }
        given > 0
    }
}

/// Adds under the guard, where nobody else writes.
fn add(count: &AtomicU32, n: u32) {
    count.store(count.load(Ordering::Relaxed).saturating_add(n), Ordering::Relaxed);
}

fn subtract(count: &AtomicU32, n: u32) {
    count.store(count.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::shared::Shared;
    use crate::sync::robust::SLICE;
    use crate::sync::testing::{Child, far, sleep_for_ever, until};

    fn semaphore(value: u32, bound: u32) -> Shared<Semaphore> {
        let semaphore = Shared::<Semaphore>::zeroed().expect("memory");
        semaphore.start(value, bound);
        semaphore
    }

    #[test]
    fn permits_are_counted() {
        let semaphore = semaphore(2, 2);
        assert!(semaphore.try_acquire() && semaphore.try_acquire() && !semaphore.try_acquire());
        assert_eq!(semaphore.acquire(Some(Instant::now())), Taken::TimedOut);
        semaphore.release().expect("one back");
        semaphore.release().expect("two back");
        assert_eq!(semaphore.release(), Err(Misuse::TooManyReleases));
        assert_eq!(semaphore.value(), 2);
    }

    #[test]
    fn permits_of_the_dead_come_back() {
        let semaphore = semaphore(3, MOST_PERMITS);
        let holder = Child::run(|| {
            (0..3).for_each(|_| assert!(semaphore.try_acquire()));
            sleep_for_ever();
        });
        until(|| semaphore.value() == 0);
        holder.kill();
        assert_eq!(semaphore.acquire(far()), Taken::Clean);
        assert_eq!(semaphore.value(), 2);
    }

    #[test]
    fn what_signals_is_not_given_back() {
        let semaphore = semaphore(0, MOST_PERMITS);
        let consumer = Child::run(|| {
            assert_eq!(semaphore.acquire(far()), Taken::Clean);
            sleep_for_ever();
        });
        semaphore.release().expect("a message");
        until(|| semaphore.value() == 0);
        consumer.kill();
        let soon = Some(Instant::now() + 3 * SLICE);
        assert_eq!(semaphore.acquire(soon), Taken::TimedOut);
    }

    #[test]
    fn more_holders_than_places_are_counted_together() {
        let semaphore = semaphore(40, 40);
        let ready = self::semaphore(0, MOST_PERMITS);
        let holders: Vec<_> = (0..20)
            .map(|_| {
                Child::run(|| {
                    assert!(semaphore.try_acquire());
                    ready.release().expect("a message");
                    sleep_for_ever();
                })
            })
            .collect();
        (0..20).for_each(|_| assert_eq!(ready.acquire(far()), Taken::Clean));
        assert_eq!(semaphore.value(), 20);
        holders.iter().for_each(Child::kill);
        semaphore.give_back();
        assert_eq!(semaphore.value(), 20 + HOLDERS as u32);
    }

    #[test]
    fn everybody_gets_through() {
        let semaphore = semaphore(1, MOST_PERMITS);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        assert_eq!(semaphore.acquire(far()), Taken::Clean);
                        semaphore.release().expect("held");
                    }
                });
            }
        });
        assert_eq!(semaphore.value(), 1);
    }
}
