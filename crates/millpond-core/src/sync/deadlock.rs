//! Detection of deadlocks: of waits without a deadline that no living process or thread can end.
//! DEADLOCKS.md has the argument.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::os::quiescence::is_alone;
use crate::shm::shared::SharedObject;
use crate::shm::sole_user;

/// How long a wait lasts before it is looked at, and how long what was found must still be so.
const FIRST_LOOK: Duration = Duration::from_millis(200);
/// The longest time between two looks, of which each takes twice that of the one before.
const RAREST_LOOK: Duration = Duration::from_secs(2);

/// The name of the variable of the environment that switches it off, with the value `0`.
pub(crate) const VARIABLE: &str = "MILLPOND_DEADLOCK_ERRORS";

const UNKNOWN: u8 = 0;
const ON: u8 = 1;
const OFF: u8 = 2;
static SWITCH: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether waits of this process may be found to be deadlocks. Forked children inherit it.
pub fn enable(enabled: bool) {
    // Relaxed: it says nothing of other memory.
    SWITCH.store(if enabled { ON } else { OFF }, Ordering::Relaxed);
}

/// Whether they may, by the last call of [`enable`] or else by the environment.
#[must_use]
pub(crate) fn is_enabled() -> bool {
    let known = SWITCH.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known == ON;
    }
    let enabled = std::env::var_os(VARIABLE).is_none_or(|value| value != "0");
    // A call of `enable` that came meanwhile stands.
    let (new, order) = (if enabled { ON } else { OFF }, Ordering::Relaxed);
    SWITCH.compare_exchange(UNKNOWN, new, order, order).map_or_else(|now| now == ON, |_| enabled)
}

/// Whether no process but this one has the memory in which an object lies, nor can come to have it.
#[must_use]
pub fn is_sole_user<T: SharedObject>(object: &T) -> bool {
    sole_user::is_sole_user(object)
}

/// One wait without a deadline, watched for being a deadlock.
#[derive(Debug, Default)]
pub struct DeadlockWatch {
    next: Option<Instant>,
    /// How long after the last look that is.
    pause: Duration,
    is_suspected: bool,
}

impl DeadlockWatch {
    /// Says that a turn of the wait, in which it has looked for the dead, has ended without a
    /// result. Whether no wait for it can ever have one.
    ///
    /// `is_sole_user` says whether no other process can change what is waited for, and
    /// `handles_signals` whether the handler of a signal could.
    pub fn is_deadlock(
        &mut self,
        is_sole_user: impl FnOnce() -> bool,
        handles_signals: impl FnOnce() -> bool,
    ) -> bool {
        self.is_deadlock_of_all(is_sole_user, handles_signals, || true)
    }

    /// The same for a wait of several processes for each other: `are_all_waiting` is asked when it is
    /// certain of this one that it does nothing but wait.
    pub fn is_deadlock_of_all(
        &mut self,
        may_be: impl FnOnce() -> bool,
        handles_signals: impl FnOnce() -> bool,
        are_all_waiting: impl FnOnce() -> bool,
    ) -> bool {
        let now = Instant::now();
        let Some(next) = self.next else {
            self.look_again(now, FIRST_LOOK);
            return false;
        };
        if now < next {
            return false;
        }
        // What costs least first: mostly another process lives.
        let nobody_else =
            is_enabled() && may_be() && is_alone() && !handles_signals() && are_all_waiting();
        if nobody_else && self.is_suspected {
            return true;
        }
        // Suspected only: the next turn first finds what processes that have ended since left
        // behind.
        self.is_suspected = nobody_else;
        self.look_again(now, if nobody_else { FIRST_LOOK } else { self.pause * 2 });
        false
    }

    fn look_again(&mut self, now: Instant, pause: Duration) {
        self.pause = pause.min(RAREST_LOOK);
        self.next = Some(now + self.pause);
    }
}
