//! Waits that nobody alive can end.

use std::time::Instant;

use millpond_core::os::quiescence::has_signal_handlers;
use millpond_core::sync::deadline::Turns;
use millpond_core::sync::deadlock::{self, DeadlockWatch};

/// Chooses whether a wait that nobody alive can end is an error, in this process.
///
/// It is one, of the kind [`Deadlock`](crate::ErrorKind::Deadlock), unless it is switched off here or
/// by the environment variable `MILLPOND_DEADLOCK_ERRORS=0`. An error comes only where it is certain
/// that the wait would last for ever: every other process that had the object has ended, nobody is
/// about to get it, and this process has no other thread and no signal handler.
pub fn set_deadlock_errors(enabled: bool) {
    deadlock::enable(enabled);
}

/// Whether a wait, a turn of which is over, is one that nobody can end.
pub(crate) fn is_deadlock(watch: &mut DeadlockWatch, is_sole_user: impl FnOnce() -> bool) -> bool {
    watch.is_deadlock(is_sole_user, || has_signal_handlers(&[]))
}

/// The same for a wait of several processes for each other; see
/// [`DeadlockWatch::is_deadlock_of_all`].
pub(crate) fn is_deadlock_of_all(
    watch: &mut DeadlockWatch,
    may_be: impl FnOnce() -> bool,
    are_all_waiting: impl FnOnce() -> bool,
) -> bool {
    watch.is_deadlock_of_all(may_be, || has_signal_handlers(&[]), are_all_waiting)
}

/// Calls `turn`, with the instant until which it waits, until it has a result; `None` if `is_over`
/// says of a turn without one that nobody can bring one about.
pub(crate) fn until_done<R>(
    mut turn: impl FnMut(Option<Instant>) -> Option<R>,
    mut is_over: impl FnMut(&mut DeadlockWatch) -> bool,
) -> Option<R> {
    let (mut watch, mut turns) = (DeadlockWatch::default(), Turns::default());
    loop {
        let done = turn(Some(turns.next(None)));
        if done.is_some() || is_over(&mut watch) {
            return done;
        }
    }
}
