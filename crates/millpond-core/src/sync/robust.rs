//! The robust word: a lock in one word of shared memory that knows who holds it.
//!
//! ```text
//! 63             32 31         8  1          0
//! │ holder (ProcessId)         │ … │ STARVED │ SLEEPERS │      the kernel sleeps on the low half
//!
//! 0                     free
//! holder                held, nobody sleeps: released by one exchange
//! holder | SLEEPERS     held, somebody sleeps (or slept): the release wakes one
//! STARVED | SLEEPERS    free, but only for those who have slept already
//! ```
//!
//! Taking a free word is one compare-exchange, by whoever comes first; a woken sleeper may find
//! that somebody else was faster. One that has waited for a millisecond sets STARVED, and from then
//! on newcomers must sleep too, so that nobody starves. A release that finds the starved one gone
//! takes the bar away; should that one have died after it was woken, newcomers sleep a slice. Who
//! does not wait at all takes any free word.
//!
//! **Deaths.** A holder that dies leaves its name in the word. Sleepers wake every [`SLICE`] and
//! ask whether the holder lives; the first that finds it dead puts its own name there in one
//! exchange, so exactly one learns of the death. A sleeper that dies leaves flags that cost one
//! futile wake. A woken sleeper that dies before it took the word leaves it free with the others
//! asleep: their slice ends and they take it. Nobody needs a thread or a list that survives.

use std::time::Duration;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU64, Ordering, wait_low, wake_low};
use crate::sync::spin::Spin;

const SLEEPERS: u64 = 1;
const STARVED: u64 = 2;
const FLAGS: u64 = SLEEPERS | STARVED;

/// How long a sleeper sleeps before it looks whether the holder lives.
pub const SLICE: Duration = Duration::from_millis(50);
/// How long others may overtake a waiter.
const PATIENCE: Duration = Duration::from_millis(1);

/// A lock word; all zero is a free one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct RobustWord(AtomicU64);

/// How an attempt to take a [`RobustWord`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The caller holds it.
    Clean,
    /// The caller holds it, after this process, which died holding it.
    OwnerDied(ProcessId),
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

impl RobustWord {
    /// A free word.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes the word if it is free and nobody starves for it. It does not notice that the holder
    /// is dead: [`take`](Self::take) with a deadline that has passed does, and takes whatever is
    /// free.
    #[inline]
    pub fn try_take(&self, me: ProcessId) -> bool {
        // Acquire: what the last holder wrote before its release is visible to this one.
        self.0.compare_exchange(0, me.raw(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the word from a holder that is dead, or from one who starves for it: that one may
    /// have died too, and for a caller who never waits the word would stay barred. So this is for
    /// rare attempts. [`Taken::TimedOut`] if somebody holds it who is alive.
    pub fn take_from_dead(&self, me: ProcessId) -> Taken {
        // Relaxed: a name; the exchange acquires.
        let word = self.0.load(Ordering::Relaxed);
        let holder = ProcessId::from_raw(word);
        let is_there = holder.is_some_and(|holder| holder.is_alive());
        if is_there || !self.exchange(word, me.raw() | (word & FLAGS)) {
            return Taken::TimedOut;
        }
        holder.map_or(Taken::Clean, Taken::OwnerDied)
    }

    /// Waits for the word until `deadline`, for ever without one.
    ///
    /// A thread that takes a word which its own process holds waits like any other.
    pub fn take(&self, me: ProcessId, spin: &mut Spin, deadline: Option<Instant>) -> Taken {
        if self.try_take(me) {
            return Taken::Clean;
        }
        self.take_slowly(me, spin, deadline)
    }

    /// Takes a word that is held for moments only, whatever signals come.
    ///
    /// Returns the process that died holding it, if one did: what it guards may then be half
    /// changed, and the caller must repair that.
    pub fn enter(&self, me: ProcessId) -> Option<ProcessId> {
        if self.try_take(me) {
            return None;
        }
        let mut spin = Spin::default();
        loop {
            match self.take_slowly(me, &mut spin, None) {
                Taken::Clean => return None,
                Taken::OwnerDied(dead) => return Some(dead),
                Taken::TimedOut | Taken::Interrupted => {}
            }
        }
    }

    #[cold]
    fn take_slowly(&self, me: ProcessId, spin: &mut Spin, deadline: Option<Instant>) -> Taken {
        let started = Instant::now();
        // What the caller leaves in the word with its name: it cannot know who else sleeps.
        let mut inherited = 0;
        let mut slept = false;
        loop {
            let is_mine_to_take =
                |word: u64| ProcessId::from_raw(word).is_none() && (slept || word & STARVED == 0);
            spin.until(|| is_mine_to_take(self.0.load(Ordering::Relaxed)));
            let word = self.0.load(Ordering::Relaxed);
            let holder = ProcessId::from_raw(word);
            if is_mine_to_take(word) {
                // STARVED ends with the first sleeper that gets the word.
                let mine = me.raw() | (word & SLEEPERS) | inherited;
                if self.exchange(word, mine) {
                    return Taken::Clean;
                }
                continue;
            }
            let asleep =
                word | SLEEPERS | if slept && started.elapsed() >= PATIENCE { STARVED } else { 0 };
            if asleep != word && !self.mark(word, asleep) {
                continue;
            }
            crash_point!("robust word: before sleep");
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let woken =
                wait_low(&self.0, asleep as u32, Some(left.map_or(SLICE, |l| l.min(SLICE))));
            slept = true;
            inherited = SLEEPERS;
            match woken {
                Woken::Changed => {}
                Woken::Interrupted => return Taken::Interrupted,
                Woken::TimedOut => {
                    if let Some(dead) = holder.filter(|holder| !holder.is_alive())
                        && self.take_from(Some(dead), me)
                    {
                        crash_point!("robust word: taken from the dead");
                        return Taken::OwnerDied(dead);
                    }
                    if deadline.is_some_and(|d| d <= Instant::now()) {
                        let free = self.take_from(None, me);
                        return if free { Taken::Clean } else { Taken::TimedOut };
                    }
                }
            }
        }
    }

    /// Takes the word as long as this is its holder, whatever the flags say.
    fn take_from(&self, holder: Option<ProcessId>, me: ProcessId) -> bool {
        loop {
            let word = self.0.load(Ordering::Relaxed);
            if ProcessId::from_raw(word) != holder {
                return false;
            }
            // STARVED stays for whom it is meant.
            if self.exchange(word, me.raw() | SLEEPERS | (word & STARVED)) {
                return true;
            }
        }
    }

    fn exchange(&self, from: u64, to: u64) -> bool {
        // Acquire: as in `try_take`. After a death there is no release to pair with; the holder's
        // writes are visible all the same, since its last one precedes its death, the kernel's
        // word of which the caller has seen.
        self.0.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn mark(&self, from: u64, to: u64) -> bool {
        // Relaxed: flags guard no data; the kernel compares the word again.
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Gives the word back. The caller holds it, or acts for the process that does.
    #[inline]
    pub fn release(&self, me: ProcessId) {
        // Release: what this holder wrote is visible to the next.
        if self.0.compare_exchange(me.raw(), 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.release_slowly();
        }
    }

    #[cold]
    fn release_slowly(&self) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            // A starved sleeper finds the word barred to newcomers; else it is up for grabs.
            let free = if word & STARVED != 0 { FLAGS } else { 0 };
            // Release: as in `release`.
            match self.0.compare_exchange_weak(word, free, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        crash_point!("robust word: released, before wake");
        if word & SLEEPERS == 0 {
            return;
        }
        let nobody_slept = wake_low(&self.0, 1) == 0;
        if nobody_slept && word & STARVED != 0 && self.mark(FLAGS, 0) {
            crash_point!("robust word: bar taken away, before wake");
            // A newcomer may have fallen asleep over the flags between the two.
            wake_low(&self.0, 1);
        }
    }

    /// Makes the word free whoever holds it, for tests of damaged memory.
    pub(crate) fn force_free(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Who holds the word, at this moment.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        ProcessId::from_raw(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fork::{Forked, exit_now, fork};
    use crate::os::map::Mapping;
    use crate::os::memfd;
    use crate::os::pidfd::PidFd;
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicBool;

    fn shared_word() -> (Mapping, &'static RobustWord) {
        let fd = memfd::create("millpond-test", 4096).expect("memory");
        let map = Mapping::new(fd.as_fd(), 0, 4096).expect("mapping");
        // SAFETY: page-aligned zeroes, which are a free word; tests keep the mapping for as long.
        let word = unsafe { map.start().cast::<RobustWord>().as_ref() };
        (map, word)
    }

    #[test]
    fn threads_exclude_each_other() {
        let (_map, word) = shared_word();
        let me = ProcessId::current();
        let inside = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut spin = Spin::default();
                    for _ in 0..5000 {
                        assert_eq!(word.take(me, &mut spin, None), Taken::Clean);
                        assert!(!inside.swap(true, Ordering::Relaxed));
                        inside.store(false, Ordering::Relaxed);
                        word.release(me);
                    }
                });
            }
        });
        assert_eq!(word.holder(), None);
    }

    #[test]
    fn the_death_of_the_holder_reaches_one_waiter() {
        let (_map, word) = shared_word();
        // SAFETY: the child touches the word alone and ends.
        let Forked::Parent(child) = unsafe { fork() }.expect("fork") else {
            assert!(word.try_take(ProcessId::current()));
            exit_now(0);
        };
        PidFd::open(child).expect("child").wait_readable(None).expect("poll");
        let me = ProcessId::current();
        let taken: Vec<_> = std::thread::scope(|scope| {
            let wait = || {
                let taken = word.take(me, &mut Spin::default(), None);
                word.release(me);
                taken
            };
            let waiters: Vec<_> = (0..3).map(|_| scope.spawn(wait)).collect();
            waiters.into_iter().map(|w| w.join().expect("no panic")).collect()
        });
        PidFd::open(child).expect("child").reap().expect("status");
        let deaths = taken.iter().filter(|t| matches!(t, Taken::OwnerDied(d) if d.pid() == child));
        assert_eq!(deaths.count(), 1, "{taken:?}");
        assert_eq!(taken.iter().filter(|t| **t == Taken::Clean).count(), 2);
    }

    #[test]
    fn a_waiter_that_starved_and_gave_up_bars_nobody() {
        let (_map, word) = shared_word();
        let me = ProcessId::current();
        assert!(word.try_take(me));
        let taken = word.take(me, &mut Spin::default(), Some(Instant::now() + 3 * SLICE));
        assert_eq!((taken, word.0.load(Ordering::Relaxed) & FLAGS), (Taken::TimedOut, FLAGS));
        word.release(me);
        assert!(word.try_take(me));
        word.release(me);
        // As one leaves it that starved, was woken, and died.
        word.0.store(FLAGS, Ordering::Relaxed);
        assert!(!word.try_take(me));
        let now = Some(Instant::now());
        assert_eq!(word.take(me, &mut Spin::default(), now), Taken::Clean);
        word.release(me);
        assert!(word.try_take(me));
    }

    #[test]
    fn a_waiter_gets_the_word_from_one_who_never_pauses() {
        let (_map, word) = shared_word();
        let me = ProcessId::current();
        let got = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(word.take(me, &mut Spin::default(), None), Taken::Clean);
                got.store(true, Ordering::Relaxed);
                word.release(me);
            });
            let mut spin = Spin::default();
            while !got.load(Ordering::Relaxed) {
                assert_eq!(word.take(me, &mut spin, None), Taken::Clean);
                word.release(me);
            }
        });
    }

    #[test]
    fn a_word_that_the_dead_left_barred_is_free_for_who_never_waits() {
        let (_map, word) = shared_word();
        let me = ProcessId::current();
        // One that starved was woken, and died before it took the word.
        word.0.store(FLAGS, Ordering::Relaxed);
        assert!(!word.try_take(me));
        assert_eq!(word.take_from_dead(me), Taken::Clean);
        assert_eq!(word.take_from_dead(me), Taken::TimedOut);
        word.release(me);
    }

    #[test]
    fn a_deadline_ends_the_wait_and_leaves_the_word_usable() {
        let (_map, word) = shared_word();
        let me = ProcessId::current();
        assert!(word.try_take(me));
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(word.take(me, &mut Spin::default(), Some(soon)), Taken::TimedOut);
        word.release(me);
        assert!(word.try_take(me));
        word.release(me);
    }
}
