//! Waits for a queue, in turns.

use std::time::{Duration, Instant};

use millpond_core::channel::queue::{
    GUARD_TIMEOUT, GetError, PutError as NotPut, Queue, ReceivedItem,
};
use millpond_core::sync::deadline::Turns;
use millpond_core::sync::deadlock::DeadlockWatch;

use crate::deadlock::is_deadlock;
use crate::error::{Cause, Error, Result};

/// How often a wait looks for children that have ended while handles of its queue's ends are on their
/// way to some.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a caller is ready to wait.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// Not at all.
    Not,
    /// As long as this.
    UpTo(Duration),
    /// For ever.
    Ever,
}

impl Wait {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Not => Some(Instant::now()),
            // What is beyond all reckoning never comes.
            Self::UpTo(timeout) => Instant::now().checked_add(timeout),
            Self::Ever => None,
        }
    }

    pub(super) fn no_room(self) -> Error {
        match self {
            Self::UpTo(after) => Cause::NotInTime { what: "no room was made", after }.into(),
            Self::Not => Cause::Full.into(),
            Self::Ever => Cause::Deadlock(
                "take a value from the full queue: no other living process has it, and this one has \
                 one thread",
            ).into(),
        }
    }

    fn nothing_came(self) -> Error {
        match self {
            Self::UpTo(after) => Cause::NotInTime { what: "nothing came", after }.into(),
            Self::Not => Cause::Empty.into(),
            Self::Ever => Cause::Deadlock(
                "put a value into the empty queue: no other living process has it, and this one has \
                 one thread",
            ).into(),
        }
    }

    pub(super) fn not_put(self, reason: NotPut) -> Error {
        match reason {
            NotPut::Full | NotPut::Busy => self.no_room(),
            NotPut::Closed => Cause::Disconnected("all receivers are gone").into(),
            NotPut::Corrupt => Cause::Corrupt.into(),
            NotPut::NoMemory(source) => Cause::Io { what: "find room for it", source }.into(),
            other => {
                let source = std::io::Error::other(other.to_string());
                Cause::Io { what: "put it", source }.into()
            }
        }
    }

    pub(super) fn not_taken(self, reason: GetError) -> Error {
        match reason {
            GetError::Empty | GetError::Busy => self.nothing_came(),
            GetError::Closed => Cause::Disconnected("all senders are gone").into(),
            GetError::Corrupt => Cause::Corrupt.into(),
            GetError::NoMemory(source) => Cause::Io { what: "find room for it", source }.into(),
            other => {
                let source = std::io::Error::other(other.to_string());
                Cause::Io { what: "take it", source }.into()
            }
        }
    }
}

/// What an attempt that has waited until its deadline, or for a signal handler, is told by.
pub(super) trait Unfinished {
    fn is_over_time(&self) -> bool;
    /// Whether that is because the queue's guard was held.
    fn is_busy(&self) -> bool;
    fn is_interrupted(&self) -> bool;
}

impl Unfinished for NotPut {
    fn is_over_time(&self) -> bool {
        matches!(self, Self::Full | Self::Busy)
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}

impl Unfinished for GetError {
    fn is_over_time(&self) -> bool {
        matches!(self, Self::Empty | Self::Busy)
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}

/// Waits in turns, and calls `meanwhile` after each. A process that holds the queue's guard is
/// given [`GUARD_TIMEOUT`] to release it, should the deadline come sooner. A wait without a
/// deadline that ends without a result is a deadlock.
pub(super) fn in_turns<T, E: Unfinished>(
    queue: &Queue,
    wait: Wait,
    meanwhile: fn(),
    mut attempt: impl FnMut(Option<Instant>) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let deadline = wait.deadline();
    // Without a look at the clock where there is nothing to wait for.
    let mut turn = deadline.unwrap_or_else(long_ago);
    let (mut grace, mut watch, mut turns) = (None, DeadlockWatch::default(), Turns::default());
    loop {
        match attempt(Some(turn)) {
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.is_over_time() => {
                let now = Instant::now();
                let end = if error.is_busy() {
                    let grace = *grace.get_or_insert(now + GUARD_TIMEOUT);
                    deadline.map(|deadline| deadline.max(grace))
                } else {
                    deadline
                };
                if end.is_some_and(|end| end <= now) {
                    return Err(error);
                }
                meanwhile();
                if deadline.is_none() && is_deadlock(&mut watch, || queue.is_sole_user()) {
                    return Err(error);
                }
                turn = turns.next(end);
                if queue.is_end_in_transit() {
                    turn = turn.min(now + RECHECK_INTERVAL);
                }
            }
            done => return done,
        }
    }
}

/// An instant that has passed.
fn long_ago() -> Instant {
    // Of the thread: a lock here could stay locked in a forked child.
    thread_local! {
        static PAST: Instant = Instant::now();
    }
    PAST.try_with(|past| *past).unwrap_or_else(|_| Instant::now())
}

/// Takes a message, whose bytes [`bytes_of`] gives.
pub(super) fn take(
    queue: &Queue,
    buffer: &mut Vec<u8>,
    wait: Wait,
    meanwhile: fn(),
) -> Result<ReceivedItem> {
    in_turns(queue, wait, meanwhile, |turn| queue.get(&mut *buffer, turn))
        .map_err(|reason| wait.not_taken(reason))
}

pub(super) fn bytes_of<'a>(buffer: &'a [u8], received: &'a ReceivedItem) -> &'a [u8] {
    match &received.block {
        Some(block) => block.bytes(),
        None => &buffer[received.bytes.clone()],
    }
}
