//! The one error of this crate.

mod cause;
mod channel;
mod failure;
mod kind;
mod outcome;

use std::{fmt, io};

use millpond_core::os::exit_status::{ExitStatus, signal_name};

pub(crate) use cause::{Cause, Loss, Poisoned, Subject};
pub(crate) use channel::until_end;
pub use channel::{RecvError, RecvTimeoutError, TryRecvError};
pub use failure::Failure;
pub use kind::ErrorKind;
pub use outcome::{JoinError, TaskError};

use crate::panic::PanicReport;

/// What went wrong, and to whom.
///
/// The message names the process or task with its pid and function, so that it can be shown as it
/// is; [`kind`](Error::kind) is for programs that decide. It can cross threads, and its `Debug`
/// is made for `fn main() -> Result<(), millpond::Error>`: the message, followed by the backtrace
/// of the process that panicked.
///
/// ```
/// use millpond::{Builder, ErrorKind};
///
/// fn divide(a: u32, b: u32) -> u32 {
///     a / b
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let error = Builder::new().name("divider").spawn(divide, (1, 0))?.join().unwrap_err();
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
pub type Result<T, E = Error> = std::result::Result<T, E>;

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

    /// Which item of a [`map`](crate::Pool::map) or the like it happened to, counted from 0; `None`
    /// for a task of its own.
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
    /// It is there if `RUST_LIB_BACKTRACE` or else `RUST_BACKTRACE` asks for it, as in
    /// [`std::backtrace`]: without them a panic costs no more than elsewhere.
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

    /// Whether it is of a task that another one's crash took along.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self.0.cause, Cause::Lost { .. })
    }

    /// Says whom it happened to.
    pub(crate) fn about(mut self, subject: Subject) -> Self {
        self.0.subject = Some(subject);
        self
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Cause::Failed(failure::Link::of(failure)).into()
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
            None => match &self.0.cause {
                // Nobody is named that it failed for.
                Cause::Codec(error) => error.fmt(f),
                cause => cause.fmt(f),
            },
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
            Cause::TimedOut(_) | Cause::NotInTime { .. } | Cause::NothingInTime => {
                io::ErrorKind::TimedOut
            }
            Cause::WouldBlock => io::ErrorKind::WouldBlock,
            Cause::InvalidInput(_) => io::ErrorKind::InvalidInput,
            Cause::Codec(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
