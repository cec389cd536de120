//! The members of one end of a channel: the number of its handles in each process, by which the
//! other end notices that it is gone.
//!
//! A process counts once for each handle that it has; handles on their way in a message count too.
//! A process that finds the number at zero closes the end for good
//! ([`Queue::leave_end`](super::Queue::leave_end), or a waiter that looks for the dead). A queue
//! without ends never closes, since no handle joins.
//!
//! **Deaths.** Each look for the dead takes away the handles of dead processes. A handle that was
//! on its way to a process that died is [recalled](super::Queue::recall_end) by the sender, if it
//! learns of the death. A handle in a message that no consumer will read is recalled by the
//! bindings, when they find that the consumers are gone. A forked child is a member once it uses
//! its copy of a handle; until then only its parent is.

use std::io;

use crate::channel::queue::tally::{Tally, TallyState};
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
    /// 1 once a handle has joined.
    used: AtomicU32,
    /// Handles in messages.
    travelling: AtomicU32,
    /// When a call that did not wait last looked, in milliseconds of the monotonic clock.
    looked: AtomicU64,
    pub(super) tally: TallyState,
}

struct Guard<'a>(&'a Members, ProcessId);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.guard.release(self.1);
    }
}

// Relaxed throughout: the guard orders what happens under it.
impl Members {
    #[cfg(feature = "testing")]
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }

    fn enter(&self) -> Guard<'_> {
        let me = ProcessId::current();
        // A process that died here left a consistent tally.
        let _ = self.guard.enter(me);
        Guard(self, me)
    }

    pub(super) fn join(&self, tally: Tally<'_>, arrived: bool) -> io::Result<()> {
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

    pub(super) fn send(&self) {
        let _guard = self.enter();
        let travelling = self.travelling.load(Ordering::Relaxed).saturating_add(1);
        self.travelling.store(travelling, Ordering::Relaxed);
    }

    pub(super) fn recall(&self, tally: Tally<'_>) -> bool {
        let _guard = self.enter();
        let travelling = self.travelling.load(Ordering::Relaxed).saturating_sub(1);
        self.travelling.store(travelling, Ordering::Relaxed);
        self.is_deserted(tally)
    }

    pub(super) fn leave(&self, tally: Tally<'_>) -> bool {
        let guard = self.enter();
        tally.subtract(guard.1);
        crash_point!("queue: member has left");
        self.is_deserted(tally)
    }

    /// Takes away the handles of the dead; whether no member is left.
    pub(super) fn look(&self, tally: Tally<'_>) -> bool {
        if !self.is_used() {
            return false;
        }
        let dead: Vec<_> = tally.holders().filter(|&member| !lives(member, self)).collect();
        let _guard = self.enter();
        for member in dead {
            tally.remove(member);
        }
        self.is_deserted(tally)
    }

    /// Whether a handle has joined.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed) != 0
    }

    /// Whether a call that does not wait should look again; that the caller does is noted.
    pub(super) fn is_due(&self) -> bool {
        if !self.is_used() {
            return false;
        }
        let now = monotonic_ns() / 1_000_000;
        let passed = now.wrapping_sub(self.looked.load(Ordering::Relaxed));
        let is_due = u128::from(passed) >= RECHECK_INTERVAL.as_millis();
        if is_due {
            self.looked.store(now, Ordering::Relaxed);
        }
        is_due
    }

    /// Whether handles are on their way in messages.
    pub(super) fn is_travelling(&self) -> bool {
        self.travelling.load(Ordering::Relaxed) > 0
    }

    fn is_deserted(&self, tally: Tally<'_>) -> bool {
        !self.is_travelling() && tally.total() == 0
    }
}
