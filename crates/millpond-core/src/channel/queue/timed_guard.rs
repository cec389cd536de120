//! A guard for optional work, whose acquisition gives up after [`GUARD_TIMEOUT`] if the holder is
//! stopped.
//!
//! A process holds such a guard for a few instructions, unless it is stopped (or waits for a core,
//! for its turn or for the next period of a CPU quota). The work under it can be left undone, or to
//! another process. A process that has waited for [`GUARD_TIMEOUT`] in vain notes the holder as
//! stuck; after that no process waits for this holder any more, but each still checks whether it
//! lives.

use std::time::Duration;

use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::spin::with_thread_spin;

/// How long a caller without time left waits for a queue's guard before it reports `Busy` as empty
/// or full. Guards are held for a few instructions, but the holder may have to wait for a core: for
/// its turn, or for the next period of a CPU quota, which is 100 ms.
pub const GUARD_TIMEOUT: Duration = Duration::from_millis(200);

/// A guard; all zero is a free one.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct TimedGuard {
    word: RobustWord,
    /// The holder for which a process last waited in vain, 0 if there is none.
    stuck: AtomicU64,
}

impl TimedGuard {
    /// Takes the guard, for which the caller waits until `deadline`, for ever without one.
    pub(super) fn take(&self, me: ProcessId, deadline: Option<Instant>) -> Taken {
        if self.word.try_take(me) {
            return Taken::Clean;
        }
        with_thread_spin(|spin| self.word.take(me, spin, deadline))
    }

    /// Takes the guard, for which the caller waits for `GUARD_TIMEOUT`, whatever signals come.
    pub(super) fn take_in_time(&self, me: ProcessId) -> Taken {
        if self.word.try_take(me) {
            return Taken::Clean;
        }
        // Relaxed, here and below: a hint about how long to wait.
        let holder = self.word.holder().map_or(0, ProcessId::raw);
        let is_stuck = holder != 0 && holder == self.stuck.load(Ordering::Relaxed);
        let now = Instant::now();
        let deadline = if is_stuck { now } else { now + GUARD_TIMEOUT };
        let taken = loop {
            match self.take(me, Some(deadline)) {
                Taken::Interrupted => {}
                taken => break taken,
            }
        };
        let stuck = if taken == Taken::TimedOut { holder } else { 0 };
        if self.stuck.load(Ordering::Relaxed) != stuck {
            self.stuck.store(stuck, Ordering::Relaxed);
        }
        taken
    }

    /// Gives the guard back.
    pub(super) fn release(&self, me: ProcessId) {
        self.word.release(me);
    }

    pub(super) fn force_free(&self) {
        self.word.force_free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_twice_for_the_same_holder() {
        let (guard, me) = (TimedGuard::default(), ProcessId::current());
        assert_eq!(guard.take_in_time(me), Taken::Clean);
        let start = Instant::now();
        assert_eq!(guard.take_in_time(me), Taken::TimedOut);
        assert!(start.elapsed() >= GUARD_TIMEOUT);
        assert_eq!(guard.stuck.load(Ordering::Relaxed), me.raw());
        assert_eq!(guard.take_in_time(me), Taken::TimedOut);
        guard.release(me);
        assert_eq!(guard.take_in_time(me), Taken::Clean);
        guard.release(me);
    }
}
