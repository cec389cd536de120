//! The sorts of errors.

use std::fmt;

/// The sort of an [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The function panicked; see [`panic_message`](crate::Error::panic_message) and [`backtrace`](crate::Error::backtrace).
    Panicked,
    /// The function returned an error; see [`Failure`](crate::Failure).
    Failed,
    /// The process ended before the function returned: killed by a [signal](crate::Error::signal), or by
    /// calling [exit](crate::Error::exit_code).
    Crashed,
    /// What was waited for did not come in time. It may still come, unless it is a task that took
    /// longer than its [timeout](crate::With::timeout).
    TimedOut,
    /// It was closed or terminated, and takes nothing more.
    Closed,
    /// The pool was terminated before the task ended.
    Terminated,
    /// The job was [cancelled](crate::Job::cancel) before the task began.
    Cancelled,
    /// No worker of the pool can be set up, for instance because its initializer panics.
    Broken,
    /// An argument or a result could not be encoded or decoded.
    Codec,
    /// [`millpond::init`](crate::init) was not called first in `main`.
    NotInitialized,
    /// An argument makes no sense; the message says what would.
    InvalidInput,
    /// It belongs to another process: this one is a `fork` of that.
    ForkedChild,
    /// The child runs another build of the program.
    BuildMismatch,
    /// The last holder of a lock died or panicked while it held it; see
    /// [`PoisonError`](crate::sync::PoisonError).
    Poisoned,
    /// A party of a [`Barrier`](crate::sync::Barrier) died or gave up, or it was aborted or reset.
    BrokenBarrier,
    /// The call would wait for ever: every other process that had the object has ended, and this one
    /// has no other thread. [`set_deadlock_errors`](crate::set_deadlock_errors) switches it off.
    Deadlock,
    /// What was to be released is not held, or not by the caller.
    NotHeld,
    /// A [bounded semaphore](crate::sync::Semaphore::bounded) has all of its permits already.
    TooManyReleases,
    /// The queue or channel is full.
    Full,
    /// The queue or channel is empty.
    Empty,
    /// The other end of the channel is gone: all of its handles are dropped, or their processes
    /// have died.
    Disconnected,
    /// The memory of a queue or channel makes no sense: some process wrote over it.
    Corrupt,
    /// The operating system refused; see [`source`](std::error::Error::source).
    Io,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked => "the function panicked",
            Self::Failed => "the function returned an error",
            Self::Crashed => "the process ended before the function returned",
            Self::TimedOut => "it did not come in time",
            Self::Closed => "it is closed",
            Self::Terminated => "the pool was terminated",
            Self::Cancelled => "it was cancelled",
            Self::Broken => "the pool is broken",
            Self::Codec => "a value could not be encoded or decoded",
            Self::NotInitialized => "millpond is not initialized",
            Self::InvalidInput => "an argument makes no sense",
            Self::ForkedChild => "it belongs to another process",
            Self::BuildMismatch => "the child runs another build",
            Self::Poisoned => "the lock is poisoned",
            Self::BrokenBarrier => "the barrier is broken",
            Self::Deadlock => "the call would wait for ever",
            Self::NotHeld => "it is not held",
            Self::TooManyReleases => "it was released too often",
            Self::Full => "the queue is full",
            Self::Empty => "the queue is empty",
            Self::Disconnected => "the channel is disconnected",
            Self::Corrupt => "the memory is damaged",
            Self::Io => "the operating system refused",
        })
    }
}
