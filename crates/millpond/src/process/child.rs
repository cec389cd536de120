//! A child process, whatever it returns.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_core::os::exec::Started;
use millpond_core::os::exit_status::ExitStatus;
use millpond_core::os::fork::Owner;
use millpond_core::os::pidfd::PidFd;

use super::result_slot::{Attempt, Failure, Reply, ResultSlot};
use crate::error::{Cause, Error, JoinError, Result, Subject};
use crate::wire_handle::Sent;

/// A child of this process, whatever its function returns. See [`active_children`](crate::active_children).
///
/// Copies of it are the same child. What the function returned is only to be had from the
/// [`JoinHandle`](crate::JoinHandle) that it was started with.
#[derive(Clone)]
pub struct Child(Arc<Shared>);

struct Shared {
    name: String,
    pid: u32,
    daemon: bool,
    function: &'static str,
    owner: Owner,
    pidfd: PidFd,
    result_slot: ResultSlot,
    end: Mutex<End>,
    /// Is told when it has been reaped.
    reaped: fn(&Child),
}

#[derive(Debug)]
struct End {
    /// How it ended, once it has been reaped.
    status: Option<ExitStatus>,
    /// The wire handles among its arguments, until then.
    sent: Option<Sent>,
}

impl Child {
    /// A child that has been started; `reaped` is told when it has been reaped.
    pub(super) fn new(
        name: String,
        daemon: bool,
        function: &'static str,
        started: Started,
        result_slot: ResultSlot,
        sent: Sent,
        reaped: fn(&Self),
    ) -> Self {
        Self(Arc::new(Shared {
            name,
            pid: started.pid,
            daemon,
            function,
            owner: Owner::current(),
            pidfd: started.pidfd,
            result_slot,
            end: Mutex::new(End { status: None, sent: Some(sent) }),
            reaped,
        }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its pid. When it has ended and was reaped, another process may get this number; the methods
    /// of this type never mean that one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Whether it ends with this process.
    #[must_use]
    #[doc(alias = "daemon")]
    pub fn ends_with_parent(&self) -> bool {
        self.0.daemon
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.is_alive()
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&self) -> bool {
        if self.is_own() {
            // Only a kernel without pidfds could fail here, and that could not have started it.
            self.ended().is_ok_and(|ended| ended.is_none())
        } else {
            self.0.pidfd.is_alive().unwrap_or(false)
        }
    }

    /// How it ended; `None` while it runs, and in a `fork` of the process that started it.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        if self.is_own() { self.ended().ok().flatten() } else { None }
    }

    /// Asks it to end, by `SIGTERM`. Does nothing if it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system refuses, for instance because the
    /// child has become another user.
    pub fn terminate(&self) -> Result<()> {
        self.send_signal(libc::SIGTERM)
    }

    /// Ends it at once, by `SIGKILL`. Does nothing if it has ended.
    ///
    /// # Errors
    /// As [`terminate`](Child::terminate).
    pub fn kill(&self) -> Result<()> {
        self.send_signal(libc::SIGKILL)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// As [`JoinHandle::join`](crate::JoinHandle::join): if its function panicked, or it
    /// ended without returning from it.
    pub fn join(&self) -> Result<(), JoinError> {
        self.wait(None)?;
        match self.outcome()? {
            Outcome::Returned(_) | Outcome::Left => Ok(()),
        }
    }

    /// Waits until it has ended, for so long.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        if !self.is_own() {
            return Err(self.error(Cause::ForkedChild(self.0.owner.pid())));
        }
        let ended = self.0.pidfd.wait_readable(timeout).map_err(|error| self.io(error))?;
        match timeout {
            Some(timeout) if !ended => Err(self.error(Cause::TimedOut(timeout))),
            _ => Ok(()),
        }
    }

    /// What has come of the call. To be asked when the child has ended.
    pub(super) fn outcome(&self) -> Result<Outcome> {
        let status = self.end().map_err(|error| self.io(error))?;
        match self.0.result_slot.reply().map_err(|error| self.io(error))? {
            Some(Reply::Returned(result)) => Ok(Outcome::Returned(result)),
            Some(Reply::Panicked(report)) => Err(self.error(Cause::Panicked(report))),
            Some(Reply::Failed(failure)) => Err(self.error(failure.into())),
            None if status.success() => Ok(Outcome::Left),
            None => Err(self.error(Cause::Crashed(status))),
        }
    }

    /// An error that happened to this child.
    pub(super) fn error(&self, cause: Cause) -> Error {
        let Shared { name, pid, function, .. } = &*self.0;
        Error::from(cause).about(Subject::Process { name: name.clone(), pid: Some(*pid), function })
    }

    /// Whether it is this process' child, and not that of one that this one is a fork of.
    pub(super) fn is_own(&self) -> bool {
        self.0.owner.is_current()
    }

    /// Whether both are the same child.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn send_signal(&self, signal: i32) -> Result<()> {
        let error = |source| self.error(Cause::Io { what: "send it a signal", source });
        self.0.pidfd.send_signal(signal).map_err(error)
    }

    /// Reaps the child if it has ended.
    fn ended(&self) -> io::Result<Option<ExitStatus>> {
        self.settle(PidFd::try_reap)
    }

    /// Reaps the child, which has ended. A debugger that looks at what is left of it may hold this
    /// up.
    fn end(&self) -> io::Result<ExitStatus> {
        let reaped = self.settle(|pidfd| pidfd.reap().map(Some))?;
        Ok(reaped.unwrap_or(ExitStatus::Unknown))
    }

    /// How the child has ended: as is known, or as `reap` finds out.
    fn settle(
        &self,
        reap: impl FnOnce(&PidFd) -> io::Result<Option<ExitStatus>>,
    ) -> io::Result<Option<ExitStatus>> {
        let mut end = self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.status.is_none() {
            end.status = reap(&self.0.pidfd)?;
            if end.status.is_some() {
                (self.0.reaped)(self);
                let mut sent = end.sent.take();
                if let Some(sent) = sent.as_mut()
                    && self.0.result_slot.was_taken()
                {
                    sent.arrived();
                }
            }
        }
        Ok(end.status)
    }

    fn io(&self, source: io::Error) -> Error {
        self.error(Cause::Io { what: "be waited for", source })
    }
}

/// What a child that did not fail has left.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The encoded result.
    Returned(Vec<u8>),
    /// Nothing: it called `exit(0)`.
    Left,
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::BuildMismatch => Self::BuildMismatch,
            Failure::Codec(error) => Self::Codec(error),
            Failure::Io { what, message } => Self::RemoteIo {
                what: match what {
                    Attempt::Prepare => "read what it was to do",
                    Attempt::Answer => "hand over its result",
                },
                message,
            },
        }
    }
}

impl AsFd for Child {
    /// A descriptor that is readable once the child has ended, for an event loop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.0.name)
            .field("pid", &self.0.pid)
            .field("ends_with_parent", &self.0.daemon)
            .field("exit_status", &self.exit_status())
            .finish()
    }
}
