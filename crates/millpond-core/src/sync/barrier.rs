//! The barrier: a fixed number of parties, threads of any processes, each wait until all have
//! arrived, and then continue together.
//!
//! ```text
//! 63        32 31            3    2        1        0
//! │ arrived   │ generation   │ BROKEN │ (free) │ SLEEPERS │    sleepers sleep on the low half
//! ```
//!
//! One word holds the number of arrived parties and the number of the crossing (its *generation*),
//! so a crossing is one exchange: 0 arrived, the next generation. Arrivals happen under a guard,
//! which also protects the table of the arrived parties' processes. The last party to arrive runs
//! the action, if there is one, with the guard released; until it opens the barrier, parties of the
//! next crossing wait for this one to end.
//!
//! When a waiter notices a death, or its recheck interval ends, it checks that the processes of the
//! arrived parties, of the party that runs the action, and of the guard's holder are alive; a dead
//! one breaks the barrier. A party that has not arrived cannot be known to be dead, unless all
//! living processes wait here (`is_deserted`; DEADLOCKS.md): timeouts exist for that case. A reset
//! notes which generation it ends before it ends it, so that its waiters learn that they did not
//! cross; the notes of the last 64 generations are kept for waiters that look late.

use std::io;
use std::mem::offset_of;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::shm::presence::{lives, reserve};
use crate::shm::shared::SharedObject;
use crate::shm::sole_user::only_these_use;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, wake};
use crate::sync::deadline::{After, Deadline};
use crate::sync::robust::RobustWord;
use crate::sync::sizes::{MEMBERS, fits};
use crate::sync::spin::with_thread_spin;

const SLEEPERS: u64 = 1;
const BROKEN: u64 = 4;
const GENERATION: u64 = 8;
const ARRIVED: u64 = 1 << 32;
/// Beside the name of a party that has arrived: it does nothing but wait, until the generation ends.
const INERT: u64 = 1;
/// Members that a waiter checks in one look, if it looks every 50 ms.
const LOOKED_AT: usize = 8;

/// A barrier in shared memory. Set it up with [`Barrier::start`].
#[derive(Debug)]
#[repr(C)]
pub struct Barrier {
    guard: RobustWord,
    word: AtomicU64,
    /// The process that runs the action, 0 while none does.
    acting: AtomicU64,
    /// Which of the last 64 generations were ended by a reset: bit *n* for generation *n* mod 64.
    resets: AtomicU64,
    parties: AtomicU32,
    members: [AtomicU64; MEMBERS],
}

const _: () = assert!(fits::<Barrier>(32 << 10));

/// How many bytes of a barrier have pages from the beginning, and how many places are in those.
const FIRST_PAGE: usize = if size_of::<Barrier>() < 4096 { size_of::<Barrier>() } else { 4096 };
const AT_FIRST: usize = (FIRST_PAGE - offset_of!(Barrier, members)) / size_of::<AtomicU64>();

// SAFETY: everything is atomic, and any bits are some state of it; indices are bounded where read.
unsafe impl SharedObject for Barrier {
    const KIND: u32 = u32::from_le_bytes(*b"barr");
    const RESERVED: usize = FIRST_PAGE;
}

impl Default for Barrier {
    fn default() -> Self {
        Self {
            guard: RobustWord::new(),
            word: AtomicU64::default(),
            acting: AtomicU64::default(),
            resets: AtomicU64::default(),
            parties: AtomicU32::default(),
            members: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

/// What an arrival at a [`Barrier`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All are here: run the action, then [`open`](Barrier::open) or [`abort`](Barrier::abort).
    Last {
        /// How many arrived before.
        index: u32,
        /// What to open.
        generation: u32,
    },
    /// Wait with [`wait`](Barrier::wait).
    Early {
        /// How many arrived before.
        index: u32,
        /// What to wait for the end of.
        generation: u32,
    },
    /// The action of the crossing before still runs: [`wait`](Barrier::wait) for its end, and
    /// arrive again.
    Busy {
        /// What to wait for the end of.
        generation: u32,
    },
    /// The barrier is broken.
    Broken,
}

/// How a wait at a [`Barrier`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// All parties arrived.
    Crossed,
    /// A party gave up or died, or the barrier was aborted or reset.
    Broken,
    /// The deadline passed; the caller still counts as arrived, and [gives up](Barrier::give_up) or
    /// waits again.
    TimedOut,
    /// A signal handler ran; the caller still counts as arrived.
    Interrupted,
}

fn generation(word: u64) -> u32 {
    // 29 bits.
    (word as u32) >> 3
}

fn bit_of(generation: u32) -> u64 {
    1 << (generation % u64::BITS)
}

fn arrived(word: u64) -> u32 {
    (word >> 32) as u32
}

impl Barrier {
    /// Sets a new barrier up, before another process knows it.
    ///
    /// # Errors
    /// `QuotaExceeded` for more parties than a barrier can tell apart, whose deaths it would not
    /// notice; the system's, when memory for their names has run out.
    pub fn start(&self, parties: u32) -> io::Result<()> {
        if parties as usize > MEMBERS {
            let text = format!("a barrier can tell {MEMBERS} parties apart, not {parties}");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        if parties as usize > AT_FIRST {
            reserve(self)?;
        }
        self.parties.store(parties, Ordering::Relaxed);
        Ok(())
    }

    /// How many must arrive.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.parties.load(Ordering::Relaxed)
    }

    /// How many have arrived and wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        let word = self.word.load(Ordering::Relaxed);
        if word & BROKEN != 0 { 0 } else { arrived(word) }
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.word.load(Ordering::Relaxed) & BROKEN != 0
    }

    fn guarded<R>(&self, change: impl FnOnce(ProcessId) -> R) -> R {
        let me = ProcessId::current();
        if self.guard.enter(me).is_some() {
            self.repair();
        }
        let result = change(me);
        self.guard.release(me);
        result
    }

    /// Ends what one that died under the guard had begun. The caller holds the guard.
    fn repair(&self) {
        let current = generation(self.word.load(Ordering::Relaxed));
        if self.resets.load(Ordering::Relaxed) & bit_of(current) != 0 {
            // A reset that was noted but not made would make the crossing of this generation one.
            self.next_generation();
        } else {
            // The dead process is taken for a party, which the others would wait for in vain.
            self.break_it();
        }
    }

    /// Changes the word as `change` says and returns the old one. Under the guard only SLEEPERS
    /// changes beside.
    fn update(&self, change: impl Fn(u64) -> u64) -> u64 {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // AcqRel: what each party did before it arrived is visible to all after the crossing.
            match self.word.compare_exchange_weak(
                word,
                change(word),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return word,
                Err(now) => word = now,
            }
        }
    }

    fn next_generation(&self) {
        // What is noted under the next one's bit is 64 generations old. Relaxed: under the guard; the
        // waiters that read it see it by the update below.
        let following = generation(self.word.load(Ordering::Relaxed)).wrapping_add(1);
        if self.resets.load(Ordering::Relaxed) & bit_of(following) != 0 {
            self.resets.fetch_and(!bit_of(following), Ordering::Relaxed);
        }
        // The low half: arrived is 0 again, and so are the flags.
        let next = |word: u64| u64::from((word as u32 & !7).wrapping_add(GENERATION as u32));
        let old = self.update(next);
        crash_point!("barrier: opened, before wake");
        if old & SLEEPERS != 0 {
            wake(&self.word, u32::MAX);
        }
    }

    fn break_it(&self) {
        let old = self.update(|word| (word | BROKEN) & !SLEEPERS);
        crash_point!("barrier: broken, before wake");
        if old & SLEEPERS != 0 {
            wake(&self.word, u32::MAX);
        }
    }

    /// Arrives at the barrier.
    pub fn arrive(&self) -> Arrival {
        self.guarded(|me| {
            let word = self.word.load(Ordering::Relaxed);
            if word & BROKEN != 0 {
                return Arrival::Broken;
            }
            let (index, generation) = (arrived(word), generation(word));
            if index >= self.parties() {
                if self.acting.load(Ordering::Relaxed) == 0 {
                    // All are there, and none will open: that is damage.
                    self.break_it();
                    return Arrival::Broken;
                }
                return Arrival::Busy { generation };
            }
            // Damaged `parties` may let more in than there are places.
            if let Some(member) = self.members.get(index as usize) {
                member.store(me.raw(), Ordering::Relaxed);
            }
            let is_last = index + 1 == self.parties();
            if is_last {
                self.acting.store(me.raw(), Ordering::Relaxed);
            }
            crash_point!("barrier: before arriving");
            self.update(|word| word.wrapping_add(ARRIVED));
            crash_point!("barrier: arrived");
            match is_last {
                true => Arrival::Last { index, generation },
                false => Arrival::Early { index, generation },
            }
        })
    }

    /// Lets all parties of the generation through. The last one to arrive calls this, once the
    /// action is done. [`Crossing::Broken`] if the barrier was aborted or reset meanwhile, or a
    /// party died.
    pub fn open(&self, of: u32) -> Crossing {
        self.guarded(|_| {
            let word = self.word.load(Ordering::Relaxed);
            if word & BROKEN != 0 || generation(word) != of {
                return Crossing::Broken;
            }
            self.acting.store(0, Ordering::Relaxed);
            crash_point!("barrier: before opening");
            self.next_generation();
            Crossing::Crossed
        })
    }

    /// Waits until the generation is over.
    pub fn wait(&self, of: u32, deadline: Option<Instant>) -> Crossing {
        let mut deadline = Deadline::new(deadline);
        // Acquire: pairs with `update`.
        let look = || self.word.load(Ordering::Acquire);
        let over = |word: u64| generation(word) != of || word & BROKEN != 0;
        with_thread_spin(|spin| {
            // Waiters begin at different members.
            let mut next = ProcessId::current().pid() as usize;
            loop {
                spin.until(|| over(look()));
                let word = look();
                if over(word) {
                    return self.end_of(of, word);
                }
                // Relaxed: the flag guards no data; on failure the loop looks again.
                let asleep = word | SLEEPERS;
                let marked =
                    self.word.compare_exchange(word, asleep, Ordering::Relaxed, Ordering::Relaxed);
                if marked.is_err() {
                    continue;
                }
                crash_point!("barrier: before sleep");
                // The low half, which holds generation and flags.
                match deadline.sleep(&self.word, asleep as u32) {
                    After::Look => {}
                    After::LookForDead => {
                        // A waiter that looks every 50 ms checks 8 members a look; one that looks
                        // because of a death checks all.
                        let some = if deadline.watches_deaths() { MEMBERS } else { LOOKED_AT };
                        self.look_for_dead(of, next, some);
                        next += some;
                    }
                    After::GiveUp => {
                        let word = look();
                        let is_over = over(word);
                        return if is_over { self.end_of(of, word) } else { Crossing::TimedOut };
                    }
                    After::Interrupted => return Crossing::Interrupted,
                }
            }
        })
    }

    fn end_of(&self, of: u32, word: u64) -> Crossing {
        // Relaxed: `word` was acquired, and the note stands before the update that it shows.
        let was_reset = self.resets.load(Ordering::Relaxed) & bit_of(of) != 0;
        let crossed = generation(word) != of && !was_reset;
        if crossed { Crossing::Crossed } else { Crossing::Broken }
    }

    /// Breaks the barrier if the process of an arrived party, of the action or of the guard is
    /// dead.
    fn look_for_dead(&self, of: u32, first: usize, some: usize) {
        let is_dead =
            |raw: u64| ProcessId::from_raw(raw).is_some_and(|process| !lives(process, self));
        // Acquire: pairs with `update`, so that the name at each arrived place is that of the party
        // that arrived, and not of one that used the place in an earlier generation and may be
        // dead.
        let here = (arrived(self.word.load(Ordering::Acquire)) as usize).min(MEMBERS);
        let some = (0..here.min(some)).map(|n| &self.members[(first + n) % here]);
        let dead = some.chain([&self.acting]).any(|m| is_dead(m.load(Ordering::Relaxed)))
            || self.guard.holder().is_some_and(|holder| !lives(holder, self));
        if !dead {
            return;
        }
        self.guarded(|_| {
            if generation(self.word.load(Ordering::Relaxed)) == of {
                self.break_it();
            }
        });
    }

    /// Whether no process has the barrier but those that have arrived at it, as far as these are known.
    #[must_use]
    pub fn may_be_deserted(&self) -> bool {
        only_these_use(self, &self.arrived_with(|_| true))
    }

    /// The processes of arrivals, of those whose word is as said.
    fn arrived_with(&self, is_so: impl Fn(u64) -> bool) -> Vec<ProcessId> {
        // Acquire: pairs with `update`, so that each name is of this generation. Relaxed: names.
        let here = arrived(self.word.load(Ordering::Acquire)) as usize;
        let members = self.members.iter().take(here).map(|m| m.load(Ordering::Relaxed));
        members.filter(|&raw| is_so(raw)).filter_map(ProcessId::from_raw).collect()
    }

    /// Whether no living process can be a party that is missing: all processes that have the
    /// barrier wait at it, and do nothing else. The caller is one of them, arrived as number
    /// `index`.
    #[must_use]
    pub fn is_deserted(&self, of: u32, index: u32) -> bool {
        let Some(own) = self.members.get(index as usize) else { return false };
        let me = ProcessId::current();
        let is_waited_for = || {
            let word = self.word.load(Ordering::Acquire);
            generation(word) == of && word & BROKEN == 0 && arrived(word) < self.parties()
        };
        // In the guard, since the place belongs to another party in the next generation. Without
        // waiting, since the guard's holder may be stopped.
        if !self.guard.try_take(me) {
            return false;
        }
        let is_own = is_waited_for();
        if is_own {
            own.store(me.raw() | INERT, Ordering::Relaxed);
        }
        self.guard.release(me);
        if !is_own {
            return false;
        }
        // One that is inert stays so until the generation ends, and dead ones count for none.
        let inert = self.arrived_with(|raw| raw & INERT != 0);
        only_these_use(self, &inert) && is_waited_for()
    }

    /// Breaks the barrier for a waiter that has had enough. If the generation is over by now it
    /// stays as it is; how it ended.
    pub fn give_up(&self, of: u32) -> Option<Crossing> {
        self.guarded(|_| {
            let word = self.word.load(Ordering::Relaxed);
            if generation(word) == of && word & BROKEN == 0 {
                self.acting.store(0, Ordering::Relaxed);
                self.break_it();
                return None;
            }
            Some(self.end_of(of, word))
        })
    }

    /// Breaks the barrier: parties that wait, and parties that arrive later, learn that it is
    /// broken.
    pub fn abort(&self) {
        self.guarded(|_| {
            self.acting.store(0, Ordering::Relaxed);
            self.break_it();
        });
    }

    /// Makes the barrier new: parties that wait learn that it broke, parties that arrive later use
    /// it.
    pub fn reset(&self) {
        self.guarded(|_| {
            let word = self.word.load(Ordering::Relaxed);
            self.acting.store(0, Ordering::Relaxed);
            if arrived(word) > 0 || word & BROKEN != 0 {
                self.resets.fetch_or(bit_of(generation(word)), Ordering::Relaxed);
                crash_point!("barrier: reset noted");
                self.next_generation();
            }
        });
    }
}

#[cfg(test)]
#[path = "barrier_tests.rs"]
mod tests;
