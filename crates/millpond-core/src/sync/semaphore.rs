//! The semaphore: a counter of permits that notes which process holds how many, so that permits of
//! a dead process can be given back.
//!
//! ```text
//! value = total − held − what each known holder holds − others
//!
//!   acquire   held + 1 by the biased owner, or a known holder's count + 1, or others + 1
//!   release   held − 1 by the biased owner, or a known holder's count − 1, or others − 1, or total + 1
//! ```
//!
//! Fields change under a guard, and each operation changes one of them by one atomic store or
//! addition, so a death under the guard leaves either the state before or the state after.
//!
//! **Fast path.** One process is the biased owner: its count lies in one word together with the
//! number of free permits (`permits.rs`), so that it acquires and releases by one exchange each,
//! without the guard. A process that enters the guard first bars that word (clears FAST), and
//! before it leaves writes the number of free permits there. If the biased owner holds no permit, a
//! process that acquires under the guard becomes the biased owner itself: many semaphores are used
//! by one process only, or by one after the other.
//!
//! **Waiters.** A fast release skips the wake-up, so a waiter must clear FAST before it sleeps:
//! it looks under the guard, and leaves the word barred. Only a release under the guard sets FAST
//! again; it then admits one waiter, which ends the wait of one that has looked and does not sleep
//! yet, or wakes one that does. That waiter looks again, and if it finds no permit bars the word
//! again.
//!
//! **Whose permit.** As long as every release comes from a process that holds a permit, permits
//! belong to processes, and those of the dead are given back. A process that ends normally keeps
//! its permits: on its way out it counts them among the `others`, which no process' death frees.
//! Once a process releases what it does not hold (or the first value was 0, which has no other
//! use), the semaphore signals: its permits are messages, not possessions, and nothing is given
//! back from then on. Then `held` belongs to no process, and all processes use the fast path. A
//! process for which the table has no place, once the dead have given up theirs, acquires nothing
//! and gets `NoPlace`.
//!
//! **Stopped processes.** While a process is stopped in the guard, no other acquires or releases. A
//! call with a deadline waits for the guard until then, and a call that only tries, for 200 ms
//! (`GUARD_TIMEOUT`); `try_at_once` and `release_at_once` do not wait for it at all, and so are for
//! callers that hold what other threads need.

use std::io;
use std::mem::offset_of;
use std::time::Duration;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::presence::{lives, reserve};
use crate::shm::shared::{Holdable, SharedObject};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::deadline::{After, Deadline, RECHECK_INTERVAL};
use crate::sync::outcome::{LastLook, Misuse};
use crate::sync::permits::{MAX_HELD, Permits};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::sizes::{HOLDERS, fits};
use crate::sync::spin::{Spin, with_thread_spin};
use crate::sync::wait_queue::WaitQueue;

/// The most permits that a semaphore can have.
pub const MAX_PERMITS: u32 = i32::MAX.cast_unsigned();

/// How long optional work waits for the guard. A process holds it for a few instructions, but may
/// have to wait for a core meanwhile: for the next period of a CPU quota, which is 100 ms.
const GUARD_TIMEOUT: Duration = RECHECK_INTERVAL.saturating_mul(4);

/// Why a process cannot hold a permit, although there is one: its name would stand nowhere, and its
/// death would lose the permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many processes as a semaphore tells apart hold permits.
    TooManyHolders,
    /// There is no memory for more places.
    NoMemory,
}

impl From<NoPlace> for io::Error {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::TooManyHolders => {
                let text = format!(
                    "{} processes hold permits of the semaphore, and it can tell no more apart: \
                     release permits before other processes acquire, or use several semaphores",
                    HOLDERS + 1
                );
                Self::new(io::ErrorKind::QuotaExceeded, text)
            }
            NoPlace::NoMemory => io::ErrorKind::OutOfMemory.into(),
        }
    }
}

#[derive(Debug, Default)]
#[repr(C)]
struct Holder {
    /// A process, of interest while the count is not 0.
    process: AtomicU64,
    count: AtomicU32,
}

/// A semaphore in shared memory. Set it up with [`Semaphore::start`].
#[derive(Debug)]
#[repr(C)]
pub struct Semaphore {
    permits: Permits,
    /// The process that the word's `held` belongs to, of interest while that is not 0.
    biased_owner: AtomicU64,
    guard: RobustWord,
    waiting: WaitQueue,
    /// 1 once permits are messages.
    signals: AtomicU32,
    total: AtomicU32,
    others: AtomicU32,
    /// Releases beyond this value are refused.
    bound: AtomicU32,
    /// When a call that does not wait last looked for dead holders.
    looked: LastLook,
    /// No place from this one on was ever taken.
    places: AtomicU32,
    holders: [Holder; HOLDERS],
}

const _: () = assert!(fits::<Semaphore>(32 << 10));

/// How many bytes of a semaphore have pages from the beginning, and how many places are in those.
const FIRST_PAGE: usize = if size_of::<Semaphore>() < 4096 { size_of::<Semaphore>() } else { 4096 };
const AT_FIRST: usize = (FIRST_PAGE - offset_of!(Semaphore, holders)) / size_of::<Holder>();

impl Default for Semaphore {
    fn default() -> Self {
        Self {
            permits: Permits::default(),
            biased_owner: AtomicU64::default(),
            guard: RobustWord::default(),
            waiting: WaitQueue::default(),
            signals: AtomicU32::default(),
            total: AtomicU32::default(),
            others: AtomicU32::default(),
            bound: AtomicU32::default(),
            looked: LastLook::default(),
            places: AtomicU32::default(),
            holders: std::array::from_fn(|_| Holder::default()),
        }
    }
}

// SAFETY: everything is atomic, and any bits are some state of it.
unsafe impl SharedObject for Semaphore {
    const KIND: u32 = u32::from_le_bytes(*b"sema");
    const RESERVED: usize = FIRST_PAGE;

    fn as_holdable(&self) -> Option<&dyn Holdable> {
        Some(self)
    }
}

impl Holdable for Semaphore {
    fn is_held_by(&self, process: ProcessId) -> bool {
        !self.signals() && self.held_by(process) > 0
    }

    fn keep(&self, me: ProcessId) {
        if !self.is_held_by(me) {
            return;
        }
        // Without the guard they come back, as those of one that was killed.
        if let Some(guard) = self.enter_in_time(me) {
            self.keep_entered(&guard);
        }
    }
}

/// The guard of a semaphore whose word is barred; given back when dropped.
struct Guard<'a> {
    semaphore: &'a Semaphore,
    me: ProcessId,
    /// What the word holds.
    held: u32,
    was_fast: bool,
}

impl Guard<'_> {
    fn value(&self) -> u32 {
        self.semaphore.value_with(self.held)
    }

    /// Whether the caller may change `held` as its own.
    fn is_biased_owner(&self) -> bool {
        self.semaphore.biased_owner.load(Ordering::Relaxed) == self.me.raw()
    }

    /// Writes the word anew, by one store: `held` permits of the biased owner, and the number of
    /// free ones after all changes.
    fn settle(&self, held: u32, fast: bool) {
        let of = self.semaphore;
        let biased_owner = ProcessId::from_raw(of.biased_owner.load(Ordering::Relaxed));
        let pid = biased_owner.filter(|_| !of.signals()).map_or(0, ProcessId::pid);
        // Without a biased owner, pid 0 would let every process use the fast path.
        let fast = fast && (of.signals() || pid != 0);
        of.permits.settle(pid, held, of.value_with(held), fast);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.semaphore.guard.release(self.me);
    }
}

// Relaxed throughout: the guard's acquire and release order what happens under it, and what is read
// without it is for show.
impl Semaphore {
    /// Gives a new semaphore its permits, before another process knows it.
    pub fn start(&self, value: u32, bound: u32) {
        self.total.store(value, Ordering::Relaxed);
        self.bound.store(bound, Ordering::Relaxed);
        self.signals.store(u32::from(value == 0), Ordering::Relaxed);
    }

    fn enter(&self, me: ProcessId) -> Guard<'_> {
        // A process that died here left a consistent state; see the module.
        let _ = self.guard.enter(me);
        self.entered(me)
    }

    /// Enters the guard for optional work: `None` if its holder does not leave within
    /// [`GUARD_TIMEOUT`].
    fn enter_in_time(&self, me: ProcessId) -> Option<Guard<'_>> {
        let end = Some(Instant::now() + GUARD_TIMEOUT);
        loop {
            match self.guard.take(me, &mut Spin::default(), end) {
                Taken::Clean | Taken::OwnerDied(_) => return Some(self.entered(me)),
                Taken::TimedOut => return None,
                Taken::Interrupted => {}
            }
        }
    }

    fn entered(&self, me: ProcessId) -> Guard<'_> {
        let seen = self.permits.bar();
        crash_point!("semaphore: barred");
        Guard { semaphore: self, me, held: seen.held(), was_fast: seen.is_fast() }
    }

    /// Whether a fast word of this pid is for the process. Of two processes of the same pid one has
    /// died before the other came; and it is a process itself that makes itself the biased owner.
    /// So if it was that once, a fast word of its pid is its own, however often that changed in
    /// between.
    #[inline]
    fn is_for(&self, me: ProcessId, pid: u32) -> bool {
        pid == 0 || (pid == me.pid() && self.biased_owner.load(Ordering::Relaxed) == me.raw())
    }

    /// How many permits can be acquired, at this moment.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.value_with(self.permits.load().held())
    }

    fn value_with(&self, held: u32) -> u32 {
        let counts = self.known().iter().map(|h| h.count.load(Ordering::Relaxed));
        let others = self.others.load(Ordering::Relaxed);
        let held = counts.fold(held.saturating_add(others), u32::saturating_add);
        self.total.load(Ordering::Relaxed).saturating_sub(held)
    }

    fn known(&self) -> &[Holder] {
        &self.holders[..(self.places.load(Ordering::Relaxed) as usize).min(HOLDERS)]
    }

    /// The value beyond which releases are refused.
    #[must_use]
    #[inline]
    pub fn bound(&self) -> u32 {
        self.bound.load(Ordering::Relaxed)
    }

    /// How many permits the calling process is known to hold.
    #[must_use]
    pub fn held_here(&self) -> u32 {
        self.held_by(ProcessId::current())
    }

    fn held_by(&self, process: ProcessId) -> u32 {
        let seen = self.permits.load();
        let is_its = seen.pid() != 0 && self.is_for(process, seen.pid());
        let counted = self.place_of(process).map_or(0, |place| place.count.load(Ordering::Relaxed));
        counted.saturating_add(if is_its { seen.held() } else { 0 })
    }

    fn signals(&self) -> bool {
        self.signals.load(Ordering::Relaxed) != 0
    }

    /// Acquires a permit if there is one and nothing else is to be done.
    #[inline]
    fn try_fast_path(&self) -> bool {
        let me = ProcessId::current();
        let acquired = self.permits.acquire(|pid| self.is_for(me, pid));
        if acquired {
            crash_point!("semaphore: acquired on the fast path");
        }
        acquired
    }

    /// Acquires a permit if there is one. It waits for the guard, but for 200 ms at most, in case
    /// its holder is stopped: then false.
    ///
    /// # Errors
    /// [`NoPlace`].
    #[inline]
    pub fn try_acquire(&self) -> Result<bool, NoPlace> {
        match self.take_or_leave() {
            Ok(false) if !self.looked.is_due() => Ok(false),
            // The dead may have what is missing: a permit, or a place.
            Ok(false) | Err(_) if self.give_back() => self.take_or_leave(),
            taken => taken,
        }
    }

    /// As [`try_acquire`](Self::try_acquire), without waiting for the guard: false may also mean
    /// that the guard is held.
    #[inline]
    pub fn try_at_once(&self) -> bool {
        if self.try_fast_path() {
            return true;
        }
        let me = ProcessId::current();
        self.guard.try_take(me) && self.take_entered(&self.entered(me)) == Ok(true)
    }

    /// As [`release`](Self::release), without waiting for the guard: `None` if it is held, and
    /// nothing was released.
    #[inline]
    #[must_use]
    pub fn release_at_once(&self) -> Option<Result<(), Misuse>> {
        let me = ProcessId::current();
        if self.permits.release(self.bound(), |pid| self.is_for(me, pid)) {
            crash_point!("semaphore: released on the fast path");
            return Some(Ok(()));
        }
        self.guard.try_take(me).then(|| self.release_entered(self.entered(me)))
    }

    /// As [`try_acquire`](Self::try_acquire), in the words of a lock.
    ///
    /// # Errors
    /// As there.
    pub fn attempt(&self) -> Result<Taken, NoPlace> {
        Ok(if self.try_acquire()? { Taken::Clean } else { Taken::TimedOut })
    }

    /// Acquires a permit if there is one; the caller does not wait for it.
    fn take_or_leave(&self) -> Result<bool, NoPlace> {
        if self.try_fast_path() {
            return Ok(true);
        }
        let guard = self.enter_in_time(ProcessId::current());
        guard.map_or(Ok(false), |guard| self.take_entered(&guard))
    }

    fn take_entered(&self, guard: &Guard<'_>) -> Result<bool, NoPlace> {
        let taken = self.take(guard);
        if !matches!(taken, Ok(Some(_))) {
            guard.settle(guard.held, guard.was_fast);
        }
        taken.map(|left| left.is_some())
    }

    /// Acquires a permit if there is one, and tells how many are left. If none is acquired the word
    /// stays barred.
    fn take(&self, guard: &Guard<'_>) -> Result<Option<u32>, NoPlace> {
        let Some(left) = guard.value().checked_sub(1) else { return Ok(None) };
        crash_point!("semaphore: entered to acquire");
        let Guard { me, held, .. } = *guard;
        // One that has slept has said just now that others may sleep.
        let fast = guard.was_fast && !self.waiting.has_sleepers();
        let is_mine = self.signals() || held == 0 || guard.is_biased_owner();
        if is_mine && held < MAX_HELD {
            // The name first: with nothing held it says nothing.
            self.biased_owner.store(me.raw(), Ordering::Relaxed);
            crash_point!("semaphore: biased owner named");
            guard.settle(held + 1, fast);
        } else {
            if self.signals() {
                add(&self.others, 1);
            } else {
                let place = self.place_for(me)?;
                // The name first: a place whose count is 0 belongs to no process.
                place.process.store(me.raw(), Ordering::Relaxed);
                crash_point!("semaphore: place named");
                add(&place.count, 1);
            }
            crash_point!("semaphore: counted");
            guard.settle(held, fast);
        }
        crash_point!("semaphore: acquired");
        Ok(Some(left))
    }

    /// The place of a process among the holders, a free one if it has none yet.
    fn place_for(&self, me: ProcessId) -> Result<&Holder, NoPlace> {
        let known = self.known();
        let free = |h: &&Holder| h.count.load(Ordering::Relaxed) == 0;
        if let Some(place) = self.place_of(me).or_else(|| known.iter().find(free)) {
            return Ok(place);
        }
        let fresh = self.holders.get(known.len()).ok_or(NoPlace::TooManyHolders)?;
        if known.len() == AT_FIRST {
            reserve(self).map_err(|_| NoPlace::NoMemory)?;
        }
        fresh.count.store(0, Ordering::Relaxed);
        self.places.store(known.len() as u32 + 1, Ordering::Relaxed);
        Ok(fresh)
    }

    /// The place of a process that holds permits.
    fn place_of(&self, me: ProcessId) -> Option<&Holder> {
        self.known().iter().find(|h| {
            h.process.load(Ordering::Relaxed) == me.raw() && h.count.load(Ordering::Relaxed) > 0
        })
    }

    /// Waits for a permit until `deadline`, for ever without one. Never [`Taken::OwnerDied`]: the
    /// permits of the dead come back in silence.
    ///
    /// # Errors
    /// [`NoPlace`]: there is a permit, or was one a moment ago.
    pub fn acquire(&self, deadline: Option<Instant>) -> Result<Taken, NoPlace> {
        if self.try_fast_path() {
            return Ok(Taken::Clean);
        }
        let me = ProcessId::current();
        with_thread_spin(|spin| {
            let mut wait = Deadline::new(deadline);
            let mut slept = false;
            loop {
                let seen = self.waiting.listen();
                if slept {
                    // Before the look: a permit that is released after it wakes the next.
                    self.waiting.leave();
                }
                // Under the guard: a waiter that has slept must not leave FAST set while others
                // sleep.
                let guard = match self.guard.take(me, spin, deadline) {
                    Taken::Clean | Taken::OwnerDied(_) => self.entered(me),
                    not => {
                        if slept {
                            // It may have been admitted, for what others can take.
                            self.waiting.admit(1);
                        }
                        return Ok(not);
                    }
                };
                match self.take(&guard) {
                    Ok(Some(left)) => {
                        if slept && left > 0 {
                            self.waiting.admit(1);
                        }
                        return Ok(Taken::Clean);
                    }
                    Ok(None) => drop(guard),
                    Err(why) => {
                        drop(guard);
                        if slept {
                            // What it was admitted for is there still.
                            self.waiting.admit(1);
                        }
                        if self.give_back() {
                            continue;
                        }
                        return Err(why);
                    }
                }
                crash_point!("semaphore: before sleep");
                let after = self.waiting.wait(seen, spin, &mut wait);
                slept = true;
                match after {
                    After::Look => {}
                    After::LookForDead => {
                        self.give_back();
                    }
                    After::GiveUp => {
                        return self.attempt();
                    }
                    After::Interrupted => return Ok(Taken::Interrupted),
                }
            }
        })
    }

    /// Adds a permit, or gives one back.
    ///
    /// # Errors
    /// [`Misuse::TooManyReleases`] beyond the bound.
    #[inline]
    pub fn release(&self) -> Result<(), Misuse> {
        let me = ProcessId::current();
        if self.permits.release(self.bound(), |pid| self.is_for(me, pid)) {
            crash_point!("semaphore: released on the fast path");
            return Ok(());
        }
        self.release_slowly(me)
    }

    #[cold]
    fn release_slowly(&self, me: ProcessId) -> Result<(), Misuse> {
        self.release_entered(self.enter(me))
    }

    fn release_entered(&self, guard: Guard<'_>) -> Result<(), Misuse> {
        let me = guard.me;
        let mut held = guard.held;
        if guard.value() >= self.bound() {
            guard.settle(held, guard.was_fast);
            return Err(Misuse::TooManyReleases);
        }
        crash_point!("semaphore: entered to release");
        let signals = self.signals();
        if held > 0 && (signals || guard.is_biased_owner()) {
            held -= 1;
        } else if let Some(mine) = self.place_of(me).filter(|_| !signals) {
            subtract(&mine.count, 1);
        } else if self.others.load(Ordering::Relaxed) > 0 {
            subtract(&self.others, 1);
        } else {
            self.signals.store(1, Ordering::Relaxed);
            crash_point!("semaphore: signals noted");
            add(&self.total, 1);
        }
        crash_point!("semaphore: uncounted");
        // Fast path although others may sleep: the waiter admitted below bars the word again for
        // them.
        guard.settle(held, true);
        crash_point!("semaphore: released, before wake");
        let nobody_waits = guard.was_fast;
        drop(guard);
        if !nobody_waits {
            self.waiting.admit(1);
        }
        Ok(())
    }

    /// Counts what the caller holds among the others, whose permits no death gives back.
    fn keep_entered(&self, guard: &Guard<'_>) {
        if self.signals() {
            guard.settle(guard.held, guard.was_fast);
            return;
        }
        let of_biased_owner = if guard.is_biased_owner() { guard.held } else { 0 };
        let place = self.place_of(guard.me);
        let in_place = place.map_or(0, |place| place.count.load(Ordering::Relaxed));
        // Counted there first: a death in between leaves permits counted twice, and the holder's own
        // counts to be found by the next look for the dead.
        add(&self.others, of_biased_owner.saturating_add(in_place));
        crash_point!("semaphore: kept, still counted as its own");
        if let Some(place) = place {
            place.count.store(0, Ordering::Relaxed);
        }
        crash_point!("semaphore: kept, still counted as the biased owner's");
        guard.settle(guard.held - of_biased_owner, guard.was_fast);
        crash_point!("semaphore: kept");
    }

    /// Gives back what dead processes hold; whether there was any.
    fn give_back(&self) -> bool {
        if self.signals() {
            return false;
        }
        let mut given = 0;
        let biased_owner = self.biased_owner.load(Ordering::Relaxed);
        if self.permits.load().held() > 0 && self.is_dead(biased_owner) {
            let Some(guard) = self.enter_in_time(ProcessId::current()) else {
                // The next look finds it.
                return false;
            };
            // Another waiter may have been faster, and the biased owner be another one by now.
            let is_it = self.biased_owner.load(Ordering::Relaxed) == biased_owner;
            if is_it && guard.held > 0 && !self.signals() {
                given += guard.held;
                guard.settle(0, false);
                crash_point!("semaphore: gave back the biased owner's, before wake");
            }
        }
        for holder in self.known() {
            let process = holder.process.load(Ordering::Relaxed);
            if holder.count.load(Ordering::Relaxed) == 0 || !self.is_dead(process) {
                continue;
            }
            let Some(guard) = self.enter_in_time(ProcessId::current()) else {
                break;
            };
            // As above.
            if holder.process.load(Ordering::Relaxed) == process && !self.signals() {
                given += holder.count.load(Ordering::Relaxed);
                holder.count.store(0, Ordering::Relaxed);
                guard.settle(guard.held, false);
                crash_point!("semaphore: gave back, before wake");
            }
        }
        if given > 0 {
            self.waiting.admit(given);
        }
        given > 0
    }

    fn is_dead(&self, raw: u64) -> bool {
        ProcessId::from_raw(raw).is_some_and(|process| !lives(process, self))
    }
}

/// Adds under the guard, where no other process writes.
fn add(count: &AtomicU32, n: u32) {
    count.store(count.load(Ordering::Relaxed).saturating_add(n), Ordering::Relaxed);
}

fn subtract(count: &AtomicU32, n: u32) {
    count.store(count.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
}

#[cfg(test)]
#[path = "semaphore_tests.rs"]
mod tests;
