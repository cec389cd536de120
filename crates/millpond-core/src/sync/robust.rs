//! The robust word: a lock in one word of shared memory, which holds the name of the process that
//! has it. All locks and guards of the engine are such words.
//!
//! ```text
//! 63             32 31         8  2      1          0
//! │ holder (ProcessId)         │ … KEPT │ STARVED │ SLEEPERS │      the kernel sleeps on the low half
//!
//! 0                     free
//! holder                held, no sleepers: released by one exchange
//! holder | SLEEPERS     held, a thread sleeps (or slept): the release wakes one
//! holder | KEPT | …     held, also when the holder has ended: only a release makes it free
//! STARVED | SLEEPERS    free, but only for threads that have slept already
//! ```
//!
//! Taking a free word is one compare-exchange, which the fastest thread wins; a woken sleeper may
//! find that another thread was faster. A sleeper that has waited for 1 ms sets STARVED, and from
//! then on newcomers must sleep too, so that no thread starves. A release whose wake-up finds no
//! sleeper clears STARVED; if the starved thread died after it was woken, newcomers sleep for one
//! recheck interval. A waiter whose deadline has passed takes any free word.
//!
//! **Deaths.** A holder that dies leaves its name in the word. Sleepers notice the death, or wake
//! every [`RECHECK_INTERVAL`](crate::sync::deadline::RECHECK_INTERVAL) (50 ms), and check whether
//! the holder lives; the first that finds it dead puts its own name there in one exchange, so
//! exactly one process learns of the death. A sleeper that dies leaves flags that cost one futile
//! wake-up. A woken sleeper that dies before it took the word leaves it free with the others
//! asleep: they notice that death, too, and take it. No step needs a cleaning thread, or a list
//! that a death could tear.
//!
//! **Normal ends.** A holder that ends without having failed sets KEPT on its way out, and so keeps
//! the word: its death is not one that others take over from.

use std::time::Duration;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::presence::{lives, stands_unseen};
use crate::sync::atomic::{AtomicU64, Ordering, wake};
use crate::sync::deadline::{After, Deadline};
use crate::sync::outcome::Misuse;
use crate::sync::spin::Spin;

const SLEEPERS: u64 = 1;
const STARVED: u64 = 2;
const FLAGS: u64 = SLEEPERS | STARVED;
/// Beside a holder: its death does not free the word.
const KEPT: u64 = 4;

/// How long others may overtake a waiter.
const STARVED_AFTER: Duration = Duration::from_millis(1);

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

    /// Takes the word if it is free and no sleeper starves for it. It does not notice that the holder
    /// is dead: [`take`](Self::take) with a deadline that has passed does, and takes whatever is
    /// free.
    #[inline]
    pub fn try_take(&self, me: ProcessId) -> bool {
        // Acquire: what the last holder wrote before its release is visible to this one.
        self.0.compare_exchange(0, me.raw(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the word from a dead holder, or takes a free word that is barred (STARVED): the
    /// starved thread may have died, and for a caller that never waits the word would stay barred.
    /// So this is for rare attempts. [`Taken::TimedOut`] if a living process holds it.
    pub fn take_from_dead(&self, me: ProcessId) -> Taken {
        self.take_if_gone(me, Held::AtWill)
    }

    /// As [`take_from_dead`](Self::take_from_dead), for the word of a guard.
    pub(crate) fn take_guard_from_dead(&self, me: ProcessId) -> Taken {
        self.take_if_gone(me, Held::ForMoments)
    }

    fn take_if_gone(&self, me: ProcessId, held: Held) -> Taken {
        // Relaxed: a name; the exchange acquires.
        let word = self.0.load(Ordering::Relaxed);
        let holder = ProcessId::from_raw(word);
        let is_there = holder.is_some_and(|holder| !self.is_gone(holder, word, held));
        if is_there || !self.exchange(word, me.raw() | (word & FLAGS)) {
            return Taken::TimedOut;
        }
        holder.map_or(Taken::Clean, Taken::OwnerDied)
    }

    /// Waits for the word of a guard until `deadline`, for ever without one.
    ///
    /// A thread that takes a word which its own process holds waits like any other.
    pub fn take(&self, me: ProcessId, spin: &mut Spin, deadline: Option<Instant>) -> Taken {
        if self.try_take(me) {
            return Taken::Clean;
        }
        self.take_slowly(me, spin, deadline, Held::ForMoments)
    }

    /// As [`take`](Self::take), for the word of a lock.
    pub fn take_lock(&self, me: ProcessId, spin: &mut Spin, deadline: Option<Instant>) -> Taken {
        if self.try_take(me) {
            return Taken::Clean;
        }
        self.take_slowly(me, spin, deadline, Held::AtWill)
    }

    /// Takes a word that is held for moments only, whatever signals come.
    ///
    /// Returns the process that died holding it, if one did: what it guards may then be half
    /// changed, and the caller must repair that.
    pub(crate) fn enter(&self, me: ProcessId) -> Option<ProcessId> {
        if self.try_take(me) {
            return None;
        }
        let mut spin = Spin::default();
        loop {
            match self.take_slowly(me, &mut spin, None, Held::ForMoments) {
                Taken::Clean => return None,
                Taken::OwnerDied(dead) => return Some(dead),
                Taken::TimedOut | Taken::Interrupted => {}
            }
        }
    }

    #[cold]
    fn take_slowly(
        &self,
        me: ProcessId,
        spin: &mut Spin,
        deadline: Option<Instant>,
        held: Held,
    ) -> Taken {
        let started = Instant::now();
        let mut deadline = Deadline::new(deadline);
        // The flags that the caller stores with its name: other threads may sleep, of which it
        // cannot know.
        let mut inherited = 0;
        let mut slept = false;
        loop {
            let is_mine_to_take =
                |word: u64| ProcessId::from_raw(word).is_none() && (slept || word & STARVED == 0);
            spin.until(|| is_mine_to_take(self.0.load(Ordering::Relaxed)));
            let word = self.0.load(Ordering::Relaxed);
            if is_mine_to_take(word) {
                // STARVED ends with the first sleeper that gets the word.
                let mine = me.raw() | (word & SLEEPERS) | inherited;
                if self.exchange(word, mine) {
                    return Taken::Clean;
                }
                continue;
            }
            let asleep = word
                | SLEEPERS
                | if slept && started.elapsed() >= STARVED_AFTER { STARVED } else { 0 };
            if asleep != word && !self.mark(word, asleep) {
                continue;
            }
            crash_point!("robust word: before sleep");
            let after = deadline.sleep(&self.0, asleep as u32);
            slept = true;
            inherited = SLEEPERS;
            match after {
                After::Look => {}
                After::Interrupted => return Taken::Interrupted,
                After::LookForDead | After::GiveUp => {
                    // The present holder: the word may have been released and taken since.
                    let word = self.0.load(Ordering::Relaxed);
                    let holder = ProcessId::from_raw(word);
                    if let Some(dead) = holder.filter(|&holder| self.is_gone(holder, word, held))
                        && self.take_from(Some(dead), me, held)
                    {
                        crash_point!("robust word: taken from the dead");
                        return Taken::OwnerDied(dead);
                    }
                    if after == After::GiveUp {
                        let free = self.take_from(None, me, held);
                        return if free { Taken::Clean } else { Taken::TimedOut };
                    }
                }
            }
        }
    }

    /// Whether a holder, by whose word a caller waits, will not release it.
    fn is_gone(&self, holder: ProcessId, word: u64, held: Held) -> bool {
        match held {
            Held::AtWill => !is_kept(word) && !lives(holder, self),
            Held::ForMoments => !lives(holder, self) || stands_unseen(holder, self),
        }
    }

    /// Takes the word as long as this is its holder and does not keep it.
    fn take_from(&self, holder: Option<ProcessId>, me: ProcessId, held: Held) -> bool {
        loop {
            let word = self.0.load(Ordering::Relaxed);
            // A holder that has ended since the caller's look may have kept it.
            let keeps = held == Held::AtWill && holder.is_some() && is_kept(word);
            if ProcessId::from_raw(word) != holder || keeps {
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

    /// Gives the word back, which the caller holds. Where it does not, as it may be in damaged memory, the
    /// word stays whose it is.
    #[inline]
    pub fn release(&self, me: ProcessId) {
        let _ = self.release_of(me);
    }

    /// Gives the word back for the process that holds it.
    ///
    /// # Errors
    /// [`Misuse::NotOwner`] if that process does not hold it, any more or at all.
    #[inline]
    pub fn release_of(&self, holder: ProcessId) -> Result<(), Misuse> {
        // Release: what this holder wrote is visible to the next.
        match self.0.compare_exchange(holder.raw(), 0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(word) => self.release_slowly(holder, word),
        }
    }

    #[cold]
    fn release_slowly(&self, holder: ProcessId, mut word: u64) -> Result<(), Misuse> {
        loop {
            if ProcessId::from_raw(word) != Some(holder) {
                return Err(Misuse::NotOwner);
            }
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
            return Ok(());
        }
        let nobody_slept = wake(&self.0, 1) == 0;
        if nobody_slept && word & STARVED != 0 && self.mark(FLAGS, 0) {
            crash_point!("robust word: bar taken away, before wake");
            // A newcomer may have fallen asleep over the flags between the two.
            wake(&self.0, 1);
        }
        Ok(())
    }

    /// Keeps the word for good if the caller, which is about to end, holds it: its death will free
    /// nothing. Any release of the word clears the mark.
    pub fn keep(&self, me: ProcessId) {
        let mut word = self.0.load(Ordering::Relaxed);
        while ProcessId::from_raw(word) == Some(me) {
            // Release: the holder's writes are visible to the next holder once another process has
            // released the word.
            let kept = word | KEPT;
            match self.0.compare_exchange_weak(word, kept, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    crash_point!("robust word: kept");
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Makes the word free, whichever process holds it, for tests of damaged memory.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn force_free(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Gives the word from one process to another, as no process could but one that is named so: for
    /// tests of what sleepers hear of.
    #[cfg(test)]
    pub(crate) fn pretend(&self, from: ProcessId, to: ProcessId) {
        let word = self.0.load(Ordering::Relaxed);
        assert_eq!(ProcessId::from_raw(word), Some(from));
        self.0.store(to.raw() | (word & FLAGS), Ordering::Relaxed);
    }

    /// The process that holds the word at this moment.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        ProcessId::from_raw(self.0.load(Ordering::Relaxed))
    }
}

/// For how long a word is held, which says what its bits can mean: memory may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// A lock: as long as its holder likes, and for good by one that kept it.
    AtWill,
    /// A guard: it is never kept, and no name stands in it for long.
    ForMoments,
}

fn is_kept(word: u64) -> bool {
    word & KEPT != 0
}

#[cfg(test)]
#[path = "robust_tests.rs"]
mod tests;
