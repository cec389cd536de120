//! The one error of this crate.

mod cause;

use std::{fmt, io};

use millpond_core::os::exit_status::{ExitStatus, signal_name};

pub(crate) use cause::{Cause, Loss, Subject};

use crate::panic::PanicReport;

/// What went wrong, and to whom.
///
/// The message names the process or task with its pid and function, so that it can be shown as it
/// is; [`kind`](Error::kind) is for programs that decide. It can cross threads, and its `Debug`
/// is made for `fn main() -> Result<(), millpond::Error>`: the message, followed by the backtrace
/// of the process that panicked.
///
/// ```
/// use millpond::{ErrorKind, Process};
///
/// fn divide(a: u32, b: u32) -> u32 {
///     a / b
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let error = Process::new(divide).args((1, 0)).name("divider").start()?.join().unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::Panicked);
///     assert_eq!(error.panic_message(), Some("attempt to divide by zero"));
///     assert!(error.to_string().starts_with("process 'divider' (pid "));
///     Ok(())
/// }
/// ```
pub struct Error(Box<Report>);

struct Report {
    subject: Option<Subject>,
    cause: Cause,
}

/// A `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The sort of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The function panicked; see [`Error::panic_message`] and [`Error::backtrace`].
    Panicked,
    /// The process ended before the function returned: killed by a [signal](Error::signal), or by
    /// calling [exit](Error::exit_code).
    Crashed,
    /// What was waited for did not come in time. It may still come.
    TimedOut,
    /// It was closed or terminated, and takes nothing more.
    Closed,
    /// The pool was terminated before the task ended.
    Terminated,
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

impl Error {
    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    /// The pid of the process that it happened to or in.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let subject = self.0.subject.as_ref().and_then(Subject::pid);
        subject.or_else(|| match self.0.cause {
            Cause::Poisoned(poisoned) => Some(poisoned.pid()),
            _ => None,
        })
    }

    /// The name of the process that it happened to.
    #[must_use]
    pub fn process_name(&self) -> Option<&str> {
        self.0.subject.as_ref().and_then(Subject::process_name)
    }

    /// The path of the function that ran or was to run, as `app::work`.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.0.subject.as_ref().and_then(Subject::function)
    }

    /// Which task it happened to, counted from 0 in the order of submission.
    #[must_use]
    pub fn task_index(&self) -> Option<u64> {
        self.0.subject.as_ref().and_then(Subject::task_index)
    }

    /// How the process ended, if it [crashed](ErrorKind::Crashed).
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match self.0.cause {
            Cause::Crashed(status) | Cause::Lost { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The number of the signal that killed the process, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.exit_status()?.signal()
    }

    /// The name of that signal, as `SIGKILL`; `None` also for real-time signals.
    #[must_use]
    pub fn signal_name(&self) -> Option<&'static str> {
        signal_name(self.signal()?)
    }

    /// The code that the process gave to `exit`, if it ended that way before the function returned.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_status()?.code()
    }

    /// What the function panicked with.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        self.panic_report().map(PanicReport::message)
    }

    /// Where it panicked, as `src/main.rs:12:5`.
    #[must_use]
    pub fn panic_location(&self) -> Option<&str> {
        self.panic_report()?.location()
    }

    /// The stack of the panic, from the place of the panic to the function that was called.
    ///
    /// It is there unless `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is `0`.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.panic_report()?.backtrace()
    }

    fn panic_report(&self) -> Option<&PanicReport> {
        match &self.0.cause {
            Cause::Panicked(report) => Some(report),
            Cause::Broken { report, .. } => report.as_ref(),
            _ => None,
        }
    }

    /// Whether there is only nothing to take.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0.cause, Cause::Empty)
    }

    /// Says whom it happened to.
    pub(crate) fn about(mut self, subject: Subject) -> Self {
        self.0.subject = Some(subject);
        self
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self(Box::new(Report { subject: None, cause }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.subject {
            Some(subject) => write!(f, "{subject} {}", self.0.cause),
            None => self.0.cause.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self.backtrace() {
            Some(backtrace) => {
                write!(f, "\n\nstack of the panic, most recent call first:\n{backtrace}")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.source()
    }
}

impl From<Error> for io::Error {
    /// For functions that return `io::Result`; the error is kept inside.
    fn from(error: Error) -> Self {
        let kind = match &error.0.cause {
            Cause::Io { source, .. } => source.kind(),
            Cause::TimedOut(_) | Cause::NotInTime { .. } => io::ErrorKind::TimedOut,
            Cause::WouldBlock => io::ErrorKind::WouldBlock,
            Cause::InvalidInput(_) => io::ErrorKind::InvalidInput,
            Cause::Codec(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
