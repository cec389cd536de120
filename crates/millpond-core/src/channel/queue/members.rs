//! Who may still put, or take: how a channel notices that the other end is gone.
//!
//! A process counts once for each handle that it has; handles on their way in a message count too.
//! Who finds the number at zero closes the side for good ([`Queue::leave_end`], or a waiter that looks
//! for the dead). A queue without ends never closes: nobody joins.
//!
//! **Deaths.** What a dead process had is taken away by whoever looks. A handle that was on its way
//! to one who died is [recalled](Queue::recall_end) by the sender, if it learns of the death. One
//! in a message which nobody will read is recalled by the bindings, when they find that the consumers
//! are gone. A forked child is a member once it uses its copy of a handle; until then only its
//! parent is.

use std::io;

use crate::channel::queue::Queue;
use crate::channel::queue::control::{NO_CONSUMERS, NO_PRODUCERS};
use crate::channel::queue::memory::Memory;
use crate::channel::queue::tally::{Kept, Tally, TallyState};
use crate::crash::crash_point;
use crate::os::clock::monotonic_ns;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::robust::RobustWord;

/// One end's members; all zero is an end that nobody has ever joined.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Members {
    guard: RobustWord,
    /// 1 once somebody joined.
    used: AtomicU32,
    /// Handles in messages.
    travelling: AtomicU32,
    /// When somebody who did not wait last looked, in milliseconds of the monotonic clock.
    looked: AtomicU64,
    pub(super) tally: TallyState,
}

/// An end of a queue that is a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Those who put.
    Producers,
    /// Those who take.
    Consumers,
}

struct Guard<'a>(&'a Members, ProcessId);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.guard.release(self.1);
    }
}

// Relaxed throughout: the guard orders what happens under it.
impl Members {
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }

    fn enter(&self) -> Guard<'_> {
        let me = ProcessId::current();
        // Whoever died here left a tally that is whole.
        let _ = self.guard.enter(me);
        Guard(self, me)
    }

    fn join(&self, tally: Tally<'_>, arrived: bool) -> io::Result<()> {
        let guard = self.enter();
        let place = tally.place(guard.1)?;
        self.used.store(1, Ordering::Relaxed);
        // First: were it the last thing that this process does, it would not be a member anyway,
        // whereas what travels is not taken back.
        if arrived {
            let travelling = self.travelling.load(Ordering::Relaxed);
            self.travelling.store(travelling.saturating_sub(1), Ordering::Relaxed);
        }
        crash_point!("queue: member is joining");
        place.add(guard.1, 1);
        Ok(())
    }

    fn send(&self) {
        let _guard = self.enter();
        let travelling = self.travelling.load(Ordering::Relaxed).saturating_add(1);
        self.travelling.store(travelling, Ordering::Relaxed);
    }

    fn recall(&self, tally: Tally<'_>) -> bool {
        let _guard = self.enter();
        let travelling = self.travelling.load(Ordering::Relaxed).saturating_sub(1);
        self.travelling.store(travelling, Ordering::Relaxed);
        self.is_deserted(tally)
    }

    fn leave(&self, tally: Tally<'_>) -> bool {
        let guard = self.enter();
        tally.subtract(guard.1);
        crash_point!("queue: member has left");
        self.is_deserted(tally)
    }

    /// Takes away what the dead had; whether nobody is left.
    fn look(&self, tally: Tally<'_>) -> bool {
        if self.used.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let dead: Vec<_> = tally.holders().filter(|&member| !lives(member, self)).collect();
        let _guard = self.enter();
        for member in dead {
            tally.remove(member);
        }
        self.is_deserted(tally)
    }

    fn is_deserted(&self, tally: Tally<'_>) -> bool {
        self.travelling.load(Ordering::Relaxed) == 0 && tally.total() == 0
    }
}

impl End {
    fn flag(self) -> u32 {
        match self {
            Self::Producers => NO_PRODUCERS,
            Self::Consumers => NO_CONSUMERS,
        }
    }
}

impl Memory {
    fn members(&self, end: End) -> &Members {
        match end {
            End::Producers => &self.control().producers,
            End::Consumers => &self.control().consumers,
        }
    }

    fn tally_of(&self, end: End) -> Tally<'_> {
        Tally::new(
            self,
            match end {
                End::Producers => Kept::Producers,
                End::Consumers => Kept::Consumers,
            },
        )
    }

    /// Closes an end whose members are all gone; whether it is closed.
    pub(super) fn close_if_deserted(&self, end: End) -> bool {
        if !self.control().is_closed(end.flag()) && self.members(end).look(self.tally_of(end)) {
            self.control().close(end.flag());
        }
        self.control().is_closed(end.flag())
    }

    /// The same, if nobody has looked lately: for those who never wait, so that what nobody will
    /// take does not fill the memory.
    pub(super) fn close_if_deserted_lately(&self, end: End) {
        let members = self.members(end);
        if members.used.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = monotonic_ns() / 1_000_000;
        let passed = now.wrapping_sub(members.looked.load(Ordering::Relaxed));
        if u128::from(passed) >= RECHECK_INTERVAL.as_millis() {
            members.looked.store(now, Ordering::Relaxed);
            self.close_if_deserted(end);
        }
    }
}

impl Queue {
    /// The calling process has one more handle of this end.
    ///
    /// # Errors
    /// The system's, if the process has no other and memory has run out.
    pub fn join_end(&self, end: End) -> io::Result<()> {
        self.memory.members(end).join(self.memory.tally_of(end), false)
    }

    /// The calling process has one more handle of this end, which [was sent](Self::send_end) to it.
    ///
    /// # Errors
    /// The system's, if the process has no other and memory has run out.
    pub fn arrive_at_end(&self, end: End) -> io::Result<()> {
        self.memory.members(end).join(self.memory.tally_of(end), true)
    }

    /// A handle of this end is sent to some process.
    pub fn send_end(&self, end: End) {
        self.memory.members(end).send();
    }

    /// A handle of this end that [was sent](Self::send_end) will not arrive: its receiver is dead.
    /// If there is no other, the end is closed; returns whether it was.
    pub fn recall_end(&self, end: End) -> bool {
        let deserted = self.memory.members(end).recall(self.memory.tally_of(end));
        if deserted {
            self.memory.control().close(end.flag());
        }
        deserted
    }

    /// The calling process has one handle less of this end. The last one closes it; returns whether
    /// this was that one.
    pub fn leave_end(&self, end: End) -> bool {
        let deserted = self.memory.members(end).leave(self.memory.tally_of(end));
        if deserted {
            crash_point!("queue: end is about to be closed");
            self.memory.control().close(end.flag());
        }
        deserted
    }

    /// Whether an end is closed, or is now since all its members are dead.
    #[must_use]
    pub fn is_deserted(&self, end: End) -> bool {
        self.memory.close_if_deserted(end)
    }

    /// Whether it is a channel, whose ends know who has them.
    #[must_use]
    pub fn has_ends(&self) -> bool {
        self.memory.control().producers.used.load(Ordering::Relaxed) != 0
    }

    /// Whether handles of an end are on their way in messages.
    #[must_use]
    pub fn is_end_travelling(&self) -> bool {
        let control = self.memory.control();
        let ends = [&control.producers, &control.consumers];
        ends.iter().any(|end| end.travelling.load(Ordering::Relaxed) > 0)
    }

    /// Says, before it is put, that an item has handles in it. If nobody takes it, somebody must
    /// [see to them](Self::carries_handles).
    pub fn will_carry_handles(&self) {
        // Relaxed: the commit of the item comes behind it, and publishes it.
        self.memory.control().handles.store(1, Ordering::Relaxed);
    }

    /// Whether there may be handles in the items that are left.
    #[must_use]
    pub fn carries_handles(&self) -> bool {
        !self.is_empty() && self.memory.control().handles.load(Ordering::Relaxed) != 0
    }

    /// Closes an end for everybody: nothing is put any more (the consumers are gone), or nothing
    /// but what is left is taken (the producers are).
    pub fn close_end(&self, end: End) {
        self.memory.control().close(end.flag());
    }
}
