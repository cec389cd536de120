//! All that can go wrong, and the identity of whom it happens to.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use millpond_core::os::exit_status::ExitStatus;
use millpond_core::sync::poison;

use super::failure::Link;
use super::kind::ErrorKind;
use crate::codec::CodecError;
use crate::panic::PanicReport;

/// What went wrong. Its message follows the name of a [`Subject`], as in "process 'x' *panicked*",
/// or stands alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{0}")]
    Panicked(PanicReport),
    /// The function returned an error, which its caller made one of this crate's.
    #[error("{0}")]
    Failed(Link),
    #[error("{} before the function returned", Ended(*.0))]
    Crashed(ExitStatus),
    #[error("{}", Lost(*.status, *.loss))]
    Lost { status: ExitStatus, loss: Loss },
    #[error("did not end within {0:?}")]
    TimedOut(Duration),
    #[error("took longer than {0:?}, so its worker was killed")]
    Overran(Duration),
    #[error("is closed and takes nothing more")]
    Closed,
    #[error("has ended, or takes no such call: this item was not sent after an earlier one failed")]
    NotSent,
    #[error("did not end: its pool was terminated")]
    Terminated,
    #[error("was cancelled before it ended")]
    Cancelled,
    #[error("cannot run: the pool is broken: {message}")]
    Broken { message: String, report: Option<PanicReport> },
    #[error("failed: {0}")]
    Codec(CodecError),
    #[error(
        "millpond is not initialized: call `millpond::init()` first in `main`, or put \
         `#[millpond::main]` above it; a library or a test has `millpond::init_before_main!()`"
    )]
    NotInitialized,
    #[error("{0}")]
    InvalidInput(String),
    #[error("was started by process {0}, of which this one is a fork; only that one can use it")]
    ForkedChild(u32),
    #[error("runs another build of this program, or another program; start this one anew")]
    BuildMismatch,
    #[error("{0}")]
    Poisoned(Poisoned),
    #[error("{what} within {after:?}")]
    NotInTime { what: &'static str, after: Duration },
    #[error("the lock was held by somebody else")]
    WouldBlock,
    #[error(
        "the barrier is broken: a party died or gave up, or it was aborted or reset; `reset` \
         makes it new"
    )]
    BrokenBarrier,
    #[error("nobody can {0}")]
    Deadlock(&'static str),
    #[error("the lock cannot be released: {0}")]
    NotHeld(&'static str),
    #[error("the semaphore cannot be released: it has all of its {0} permits already")]
    TooManyReleases(u32),
    #[error("the queue is full")]
    Full,
    #[error("the queue is empty")]
    Empty,
    #[error("nothing came in time")]
    NothingInTime,
    #[error("the channel is disconnected: {0}")]
    Disconnected(&'static str),
    #[error("the memory of the queue is damaged: some process wrote over it")]
    Corrupt,
    #[error("could not {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    /// An error of the operating system in the child, which travels as text.
    #[error("could not {what}: {message}")]
    RemoteIo { what: &'static str, message: String },
}

impl Cause {
    /// The result was given already.
    pub(crate) fn taken() -> Self {
        Self::InvalidInput("has given its result already".to_owned())
    }

    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Panicked(_) => ErrorKind::Panicked,
            Self::Failed(_) => ErrorKind::Failed,
            Self::Crashed(_) | Self::Lost { .. } => ErrorKind::Crashed,
            Self::TimedOut(_) | Self::Overran(_) => ErrorKind::TimedOut,
            Self::Closed | Self::NotSent => ErrorKind::Closed,
            Self::Terminated => ErrorKind::Terminated,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Broken { .. } => ErrorKind::Broken,
            Self::Codec(_) => ErrorKind::Codec,
            Self::NotInitialized => ErrorKind::NotInitialized,
            Self::InvalidInput(_) => ErrorKind::InvalidInput,
            Self::ForkedChild(_) => ErrorKind::ForkedChild,
            Self::BuildMismatch => ErrorKind::BuildMismatch,
            Self::Poisoned(_) => ErrorKind::Poisoned,
            Self::NotInTime { .. } | Self::NothingInTime | Self::WouldBlock => ErrorKind::TimedOut,
            Self::BrokenBarrier => ErrorKind::BrokenBarrier,
            Self::Deadlock(_) => ErrorKind::Deadlock,
            Self::NotHeld(_) => ErrorKind::NotHeld,
            Self::TooManyReleases(_) => ErrorKind::TooManyReleases,
            Self::Full => ErrorKind::Full,
            Self::Empty => ErrorKind::Empty,
            Self::Disconnected(_) => ErrorKind::Disconnected,
            Self::Corrupt => ErrorKind::Corrupt,
            Self::Io { .. } | Self::RemoteIo { .. } => ErrorKind::Io,
        }
    }

    /// What lies beneath. A [`CodecError`] says all itself, and is no public type.
    pub(super) fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Failed(failure) => failure.source(),
            _ => None,
        }
    }
}

/// What became of the last holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poisoned(pub(crate) poison::Poisoned);

impl Poisoned {
    pub(crate) fn pid(self) -> u32 {
        match self.0 {
            poison::Poisoned::Died(who) | poison::Poisoned::Panicked(who) => who.pid(),
        }
    }
}

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, end) = match self.0 {
            poison::Poisoned::Died(_) => ("", "died"),
            poison::Poisoned::Panicked(_) => ("a thread of ", "panicked"),
        };
        let pid = self.pid();
        write!(
            f,
            "{whose}process {pid} {end} while it held the lock; what the lock guards may be half \
             changed"
        )
    }
}

/// An end in the past tense: "was killed by SIGKILL", "exited with code 3".
struct Ended(ExitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ExitStatus::Signaled { .. } => write!(f, "was {}", self.0),
            ExitStatus::Exited(_) => self.0.fmt(f),
            ExitStatus::Unknown => f.write_str("ended (with a status that is not known)"),
        }
    }
}

/// How a task was lost that did not bring its worker's end about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its worker died in this other task, which it had got together with it.
    WithTask(u64),
    /// The zygote died, and its workers with it.
    WithZygote,
    /// The worker damaged the memory that it shares with the pool.
    Corrupt,
}

struct Lost(ExitStatus, Loss);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("was lost with its worker, which ")?;
        match self.1 {
            Loss::WithTask(task) => {
                write!(f, "{} in task {task} of the same chunk", Ended(self.0))
            }
            Loss::WithZygote => f.write_str("ended with the process that starts the workers"),
            Loss::Corrupt => f.write_str("damaged the memory that it shares with the pool"),
        }
    }
}

/// Whom an error happened to.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A process that was started, or was to be.
    Process { name: String, pid: Option<u32>, function: &'static str },
    /// A task of a pool, and the worker that ran it; `index` if it is one of many.
    Task { index: Option<u64>, pid: Option<u32>, function: &'static str },
    /// All tasks of one call of a pool.
    Map { tasks: u64, function: &'static str },
    /// A pool.
    Pool { processes: usize },
}

impl Subject {
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process { pid, .. } | Self::Task { pid, .. } => *pid,
            Self::Map { .. } | Self::Pool { .. } => None,
        }
    }

    pub(super) fn process_name(&self) -> Option<&str> {
        match self {
            Self::Process { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(super) fn function(&self) -> Option<&str> {
        match self {
            Self::Process { function, .. }
            | Self::Task { function, .. }
            | Self::Map { function, .. } => Some(function),
            Self::Pool { .. } => None,
        }
    }

    pub(super) fn task_index(&self) -> Option<u64> {
        match self {
            Self::Task { index, .. } => *index,
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, pid: Some(pid), function } => {
                write!(f, "process '{name}' (pid {pid}, function `{function}`)")
            }
            Self::Process { name, pid: None, function } => {
                write!(f, "process '{name}' (function `{function}`)")
            }
            Self::Task { index, pid, function } => {
                match index {
                    Some(index) => write!(f, "task {index}")?,
                    None => f.write_str("the task")?,
                }
                write!(f, " (function `{function}`")?;
                pid.iter().try_for_each(|pid| write!(f, ", in worker {pid}"))?;
                f.write_str(")")
            }
            Self::Map { tasks, function } => {
                write!(f, "the map over {tasks} items (function `{function}`)")
            }
            Self::Pool { processes } => write!(f, "the pool (of {processes} workers)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::*;

    #[test]
    fn messages_say_what_happened_and_to_whom() {
        let process = |pid| Subject::Process { name: "x".into(), pid, function: "app::work" };
        let task = Subject::Task { index: Some(5), pid: Some(8), function: "app::work" };
        let killed = ExitStatus::Signaled { signal: 9, core_dumped: false };
        for (cause, subject, message) in [
            (
                Cause::Crashed(killed),
                process(Some(7)),
                "process 'x' (pid 7, function `app::work`) was killed by SIGKILL before the \
                 function returned",
            ),
            (
                Cause::Crashed(ExitStatus::Exited(3)),
                task,
                "task 5 (function `app::work`, in worker 8) exited with code 3 before the \
                 function returned",
            ),
            (
                Cause::TimedOut(Duration::from_millis(1500)),
                process(Some(7)),
                "process 'x' (pid 7, function `app::work`) did not end within 1.5s",
            ),
            (
                Cause::Io { what: "start it", source: io::ErrorKind::NotFound.into() },
                process(None),
                "process 'x' (function `app::work`) could not start it: entity not found",
            ),
        ] {
            let error = Error::from(cause).about(subject);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.function(), Some("app::work"));
        }
    }
}
