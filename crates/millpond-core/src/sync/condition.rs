//! The condition variable: a table of waiters, notified in the order in which they registered.
//!
//! The user's lock is another object; a caller holds it when it registers and when it notifies.
//! Each waiter has a record in the table:
//!
//! ```text
//!            register                 notify                       acknowledge
//! FREE (0) ───────────▶ who | WAITING ───────▶ who | GRANTED ──────────────────▶ FREE
//!                          │  ▲                    │
//!                 withdraw │  │ (SLEEPING: its     │ who is dead: another waiter takes the
//!                          ▼  │  owner is in the   ▼ grant and frees both records
//!                        FREE │  kernel)          FREE
//! ```
//!
//! Every arrow is one store or exchange of the record's word, on whose low half its owner sleeps.
//! There is no handshake: notifying a waiter that is dead, or dies before it acknowledges, leaves
//! a grant in its record; waiters look at their rechecks for grants of the dead and take them,
//! so no notification is lost to a process that cannot use it (one that comes to wait later may
//! get it too, and wakes without having been notified). A binding has its callers acknowledge when they
//! hold the user's lock again ([`Condition::wait_a_while`], then [`Condition::leave`]), and not
//! before: one that dies on its way to the lock takes no notification along. One that comes away
//! with an error instead (of a signal handler, or of the death of the lock's holder) passes its
//! notification on ([`Condition::withdraw`]), as it may do nothing with it. Records of waiters that
//! died cost nothing until a notification finds them; when the table is full, they are freed, and
//! their grants go to waiters that live.
//!
//! Waiters that find no free record wait at a wait queue through which every notification lets all
//! of them: they may wake without having been notified, but they are never forgotten.

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::shm::shared::SharedObject;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, wake};
use crate::sync::deadline::{After, Deadline};
use crate::sync::robust::RobustWord;
pub use crate::sync::sizes::RECORDS;
use crate::sync::sizes::fits;
use crate::sync::spin::with_thread_spin;
use crate::sync::wait_queue::{Admissions, WaitQueue};

const WAITING: u64 = 1;
const SLEEPING: u64 = 2;
const GRANTED: u64 = 4;
const STATE: u64 = 0xff;

#[derive(Debug, Default)]
#[repr(C)]
struct WaiterRecord {
    /// Whose it is, and its state in the spare bits; 0 while it is free.
    word: AtomicU64,
    /// Which of two waiters came first.
    order: AtomicU64,
}

/// A condition in shared memory. All zero is one without waiters.
#[derive(Debug)]
#[repr(C)]
pub struct Condition {
    guard: RobustWord,
    last_order: AtomicU64,
    /// No record from this one on was ever used.
    used: AtomicU32,
    overflow: WaitQueue,
    records: [WaiterRecord; RECORDS],
}

const _: () = assert!(fits::<Condition>(4096));

// SAFETY: everything is atomic, and any bits are some state of it; indices are bounded where read.
unsafe impl SharedObject for Condition {
    const KIND: u32 = u32::from_le_bytes(*b"cond");
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            guard: RobustWord::new(),
            last_order: AtomicU64::default(),
            used: AtomicU32::default(),
            overflow: WaitQueue::default(),
            records: std::array::from_fn(|_| WaiterRecord::default()),
        }
    }
}

/// Where a waiter waits.
#[derive(Debug)]
#[must_use = "the registration must be waited with or withdrawn"]
pub struct Place(Kind);

#[derive(Debug)]
enum Kind {
    WaiterRecord(usize),
    Overflow(Admissions),
}

/// How a wait for a notification went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// The caller was notified, and its place is gone.
    Yes,
    /// The deadline passed, and its place is gone.
    TimedOut,
    /// A signal handler ran; the caller still has its place.
    Interrupted,
}

impl Condition {
    fn used(&self) -> &[WaiterRecord] {
        &self.records[..(self.used.load(Ordering::Relaxed) as usize).min(RECORDS)]
    }

    fn guarded<R>(&self, change: impl FnOnce() -> R) -> R {
        let me = ProcessId::current();
        // Records are whole at every instant; the guard only keeps two from choosing the same.
        let _ = self.guard.enter(me);
        let result = change();
        self.guard.release(me);
        result
    }

    /// Takes a place among the waiters. The caller holds the user's lock, and releases it after
    /// this and before it waits.
    pub fn register(&self) -> Place {
        let seen = self.overflow.listen();
        if let Some(index) = self.take_record() {
            return Place(Kind::WaiterRecord(index));
        }
        // Grants of the dead go to threads that wait already, so before the caller has a place; and
        // before the records are free, so that a death in between leaves too many grants.
        let lost = self.used().iter().filter(|record| is_granted_to_the_dead(record)).count();
        if lost > 0 {
            self.notify(lost);
        }
        crash_point!("condition: before freeing records of the dead");
        self.guarded(|| self.free_dead_records());
        self.take_record()
            .map_or(Place(Kind::Overflow(seen)), |index| Place(Kind::WaiterRecord(index)))
    }

    fn take_record(&self) -> Option<usize> {
        self.guarded(|| {
            let index = self.free_record()?;
            let record = &self.records[index];
            // Relaxed: written and read under the guard.
            let order = self.last_order.load(Ordering::Relaxed).wrapping_add(1);
            self.last_order.store(order, Ordering::Relaxed);
            record.order.store(order, Ordering::Relaxed);
            crash_point!("condition: before registering");
            // Relaxed: the user's lock orders this before the next notification.
            record.word.store(ProcessId::current().raw() | WAITING, Ordering::Relaxed);
            Some(index)
        })
    }

    fn free_record(&self) -> Option<usize> {
        let used = self.used();
        used.iter().position(|r| r.word.load(Ordering::Relaxed) == 0).or_else(|| {
            (used.len() < RECORDS).then(|| {
                self.used.store(used.len() as u32 + 1, Ordering::Relaxed);
                used.len()
            })
        })
    }

    /// Frees the records of the dead.
    fn free_dead_records(&self) {
        for record in self.used() {
            let word = record.word.load(Ordering::Relaxed);
            if ProcessId::from_raw(word).is_some_and(|process| !lives(process, record)) {
                // It fails if another waiter takes the grant.
                let _ = exchange(record, word, 0);
            }
        }
    }

    /// Waits until the caller is notified or `deadline` passes. The user's lock is not held.
    pub fn wait(&self, place: &Place, deadline: Option<Instant>) -> Notified {
        match place.0 {
            Kind::WaiterRecord(index) => self.wait_at(&self.records[index], deadline, true),
            Kind::Overflow(seen) => self.wait_in_overflow(seen, deadline),
        }
    }

    /// Like [`wait`](Self::wait), but the caller keeps its place, however this ends, until it
    /// [leaves](Self::leave). If it is notified and dies before that, another waiter is notified
    /// instead. That `until` has passed counts as [`Notified::Interrupted`].
    pub fn wait_a_while(&self, place: &Place, until: Instant) -> Notified {
        match place.0 {
            Kind::WaiterRecord(index) => self.wait_at(&self.records[index], Some(until), false),
            Kind::Overflow(seen) => match self.wait_in_overflow(seen, Some(until)) {
                Notified::Yes => Notified::Yes,
                Notified::TimedOut | Notified::Interrupted => Notified::Interrupted,
            },
        }
    }

    /// Gives up a place: whether the caller had been notified. It holds the user's lock, and can
    /// use the notification now.
    pub fn leave(&self, place: &Place) -> bool {
        match place.0 {
            Kind::WaiterRecord(index) => {
                crash_point!("condition: before leaving");
                // Whatever was in it, only its owner frees it.
                let word = self.records[index].word.swap(0, Ordering::Relaxed);
                word & GRANTED != 0
            }
            Kind::Overflow(seen) => self.overflow.listen() != seen,
        }
    }

    fn wait_at(&self, record: &WaiterRecord, deadline: Option<Instant>, leaves: bool) -> Notified {
        let mut deadline = Deadline::new(deadline);
        let granted = || record.word.load(Ordering::Relaxed) & GRANTED != 0;
        with_thread_spin(|spin| {
            loop {
                if spin.until(granted) {
                    if leaves {
                        acknowledge(record);
                    }
                    return Notified::Yes;
                }
                let word = record.word.load(Ordering::Relaxed);
                let asleep = word | SLEEPING;
                if word & GRANTED != 0 || (asleep != word && !exchange(record, word, asleep)) {
                    continue;
                }
                crash_point!("condition: before sleep");
                // The low half, which holds the state.
                match deadline.sleep(&record.word, asleep as u32) {
                    After::Look => {}
                    After::Interrupted => return Notified::Interrupted,
                    After::LookForDead => {
                        // First: what a dead one is granted meanwhile is found by the second.
                        if deadline.watches_deaths() {
                            self.forget_the_dead();
                        }
                        self.inherit(record);
                    }
                    After::GiveUp if !leaves => return Notified::Interrupted,
                    After::GiveUp if exchange(record, asleep, 0) => return Notified::TimedOut,
                    // A grant came at the last moment.
                    After::GiveUp => {}
                }
            }
        })
    }

    fn wait_in_overflow(&self, seen: Admissions, deadline: Option<Instant>) -> Notified {
        let mut deadline = Deadline::new(deadline);
        with_thread_spin(|spin| {
            loop {
                if self.overflow.listen() != seen {
                    return Notified::Yes;
                }
                match self.overflow.wait(seen, spin, &mut deadline) {
                    After::Look | After::LookForDead => {}
                    After::GiveUp => return Notified::TimedOut,
                    After::Interrupted => return Notified::Interrupted,
                }
            }
        })
    }

    /// Gives up a place; whether a notification had come for it. That goes to the next waiter.
    pub fn withdraw(&self, place: Place) -> bool {
        let index = match place.0 {
            Kind::WaiterRecord(index) => index,
            // What came was for all of them.
            Kind::Overflow(seen) => return self.overflow.listen() != seen,
        };
        let record = &self.records[index];
        let word = record.word.load(Ordering::Relaxed);
        let came = word & GRANTED != 0 || !exchange(record, word, 0);
        if came {
            self.pass_on(record);
        }
        came
    }

    /// Notifies another waiter instead of the owner of this record, which was.
    fn pass_on(&self, record: &WaiterRecord) {
        // In this order: a death in between leaves one grant too many rather than one too few.
        self.notify(1);
        crash_point!("condition: passed on");
        record.word.store(0, Ordering::Relaxed);
    }

    /// Frees the records of dead waiters that were not notified. If they were notified later, no
    /// waiter would look for their grants until the next death or recheck.
    fn forget_the_dead(&self) {
        for record in self.used() {
            let word = record.word.load(Ordering::Relaxed);
            if word & WAITING != 0
                && word & GRANTED == 0
                && ProcessId::from_raw(word).is_some_and(|process| !lives(process, record))
            {
                // It fails if it is notified meanwhile.
                let _ = exchange(record, word, 0);
            }
        }
    }

    /// Takes over a notification that its waiter did not live to use, if there is one and the owner
    /// of this record has none.
    fn inherit(&self, record: &WaiterRecord) {
        // Whether processes live is asked for outside of the guard.
        let Some(dead) = self.used().iter().find(|record| is_granted_to_the_dead(record)) else {
            return;
        };
        let left = dead.word.load(Ordering::Relaxed);
        self.guarded(|| {
            let word = record.word.load(Ordering::Relaxed);
            // Others notify and inherit in the guard alone; what is still there is the dead one's.
            let is_there = left & GRANTED != 0 && dead.word.load(Ordering::Relaxed) == left;
            if !is_there || word & GRANTED != 0 {
                return;
            }
            // In this order: a death in between leaves one grant too many rather than one too few.
            record.word.store((word & !STATE) | GRANTED, Ordering::Relaxed);
            crash_point!("condition: took a grant");
            let _ = exchange(dead, left, 0);
        });
    }

    /// Notifies the `count` waiters that have waited longest, or all if there are fewer; returns
    /// how many. The caller holds the user's lock.
    pub fn notify(&self, count: usize) -> usize {
        let mut chosen = [0u64; RECORDS.div_ceil(64)];
        let mut notified = 0;
        self.guarded(|| {
            while notified < count
                && let Some((index, word)) = self.oldest()
            {
                let record = &self.records[index];
                let granted = (word & !STATE) | GRANTED;
                // It fails if the waiter withdrew or fell asleep: look again.
                if !exchange(record, word, granted) {
                    continue;
                }
                crash_point!("condition: granted, before wake");
                notified += 1;
                if word & SLEEPING != 0 {
                    chosen[index / 64] |= 1 << (index % 64);
                }
            }
        });
        for index in (0..RECORDS).filter(|i| chosen[i / 64] & 1 << (i % 64) != 0) {
            wake(&self.records[index].word, 1);
        }
        self.overflow.admit(u32::MAX);
        notified
    }

    /// The waiter that has waited longest, and its word as it was found: it may give up at any time,
    /// and must not be notified then.
    fn oldest(&self) -> Option<(usize, u64)> {
        let found = self.used().iter().enumerate();
        found
            .map(|(index, record)| (index, record, record.word.load(Ordering::Relaxed)))
            .filter(|(_, _, word)| word & WAITING != 0 && word & GRANTED == 0)
            .min_by_key(|(_, record, _)| record.order.load(Ordering::Relaxed))
            .map(|(index, _, word)| (index, word))
    }

    /// How many wait that were not notified yet, without those at the wait queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.count(|word| word & WAITING != 0)
    }

    /// How many were notified and have not noticed it yet.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.count(|word| word & GRANTED != 0)
    }

    fn count(&self, is: impl Fn(u64) -> bool) -> usize {
        self.used().iter().filter(|r| is(r.word.load(Ordering::Relaxed))).count()
    }
}

fn is_granted_to_the_dead(record: &WaiterRecord) -> bool {
    let word = record.word.load(Ordering::Relaxed);
    word & GRANTED != 0 && ProcessId::from_raw(word).is_some_and(|process| !lives(process, record))
}

fn acknowledge(record: &WaiterRecord) {
    crash_point!("condition: before acknowledging");
    record.word.store(0, Ordering::Relaxed);
}

fn exchange(record: &WaiterRecord, from: u64, to: u64) -> bool {
    // Relaxed: the words guard no data; what a notification is about is guarded by the user's lock.
    record.word.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
