//! Pidfds: descriptors that refer to one process also after its pid was given to another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::exit_status::ExitStatus;

use crate::os::refused::error_of;

/// A reference to one process, by a `pidfd`. It is readable once the process has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// The process that has this number now.
    ///
    /// # Errors
    /// `NotFound` if there is none; the system's when file descriptors have run out.
    pub fn open(pid: u32) -> io::Result<Self> {
        let no_such_process = || io::Error::from(io::ErrorKind::NotFound);
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(no_such_process)?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self(fd)),
            Err(Errno::SRCH) => Err(no_such_process()),
            Err(errno) => Err(error_of("pidfd_open")(errno)),
        }
    }

    /// The calling process, for handing to a child that wants to know whether its parent lives.
    ///
    /// # Errors
    /// The system's, when file descriptors have run out.
    pub fn current() -> io::Result<Self> {
        let me = rustix::process::getpid();
        let fd = rustix::process::pidfd_open(me, PidfdFlags::empty());
        Ok(Self(fd.map_err(error_of("pidfd_open"))?))
    }

    /// Sends a signal. To a process that has ended it does nothing.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal with a name, `PermissionDenied` for another
    /// user's process.
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("there is no signal {signal}"))
        })?;
        match rustix::process::pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended, without limit or for the given time; whether it has.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_readable(&self, timeout: Option<Duration>) -> io::Result<bool> {
        // A deadline that no clock can show is no deadline.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.map(rustix::event::Timespec::try_from).transpose();
            let left = left.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match rustix::event::poll(&mut fds, left.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the process has not ended. One that waits to be reaped has.
    ///
    /// # Errors
    /// The system's.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(!self.wait_readable(Some(Duration::ZERO))?)
    }

    /// Reaps the process if it has ended and is a child of this one; `None` while it lives.
    ///
    /// [`ExitStatus::Unknown`] says that it has ended, and that the status is not to be had:
    /// another thread or library has reaped it, or it is no child of this process.
    ///
    /// # Errors
    /// The system's.
    pub fn try_reap(&self) -> io::Result<Option<ExitStatus>> {
        self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits until the process has ended, and reaps it as [`try_reap`](PidFd::try_reap) does.
    ///
    /// # Errors
    /// The system's.
    pub fn reap(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait(WaitIdOptions::EXITED)? {
                return Ok(status);
            }
            // No child of this process, which cannot be waited for in the same way.
            self.wait_readable(None)?;
        }
    }

    fn wait(&self, options: WaitIdOptions) -> io::Result<Option<ExitStatus>> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), options) {
                Ok(status) => return Ok(status.as_ref().map(decode)),
                Err(Errno::INTR) => {}
                Err(Errno::CHILD) => {
                    let status = if self.is_alive()? { None } else { Some(ExitStatus::Unknown) };
                    return Ok(status);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn decode(status: &WaitIdStatus) -> ExitStatus {
    if let Some(code) = status.exit_status() {
        ExitStatus::Exited(code)
    } else if let Some(signal) = status.terminating_signal() {
        ExitStatus::Signaled { signal, core_dumped: status.dumped() }
    } else {
        ExitStatus::Unknown
    }
}

impl From<OwnedFd> for PidFd {
    /// Takes a descriptor that `pidfd_open` or `clone` made, here or in another process.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper() -> (std::process::Child, PidFd) {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pidfd = PidFd::open(child.id()).unwrap();
        (child, pidfd)
    }

    #[test]
    fn sees_the_end_and_reaps_it() {
        let (_child, pidfd) = sleeper();
        assert!(pidfd.is_alive().unwrap());
        assert_eq!(pidfd.try_reap().unwrap(), None);
        assert!(!pidfd.wait_readable(Some(Duration::from_millis(1))).unwrap());
        pidfd.send_signal(libc::SIGKILL).unwrap();
        assert!(pidfd.wait_readable(Some(Duration::from_secs(60))).unwrap());
        assert!(!pidfd.is_alive().unwrap());
        let killed = ExitStatus::Signaled { signal: libc::SIGKILL, core_dumped: false };
        assert_eq!(pidfd.try_reap().unwrap(), Some(killed));
        assert_eq!(pidfd.try_reap().unwrap(), Some(ExitStatus::Unknown), "it is reaped once");
    }

    #[test]
    fn a_signal_to_the_dead_is_no_error() {
        let (mut child, pidfd) = sleeper();
        child.kill().unwrap();
        child.wait().unwrap();
        pidfd.send_signal(libc::SIGTERM).unwrap();
        assert_eq!(pidfd.reap().unwrap(), ExitStatus::Unknown);
    }

    #[test]
    fn refuses_what_is_no_process_and_no_signal() {
        assert_eq!(PidFd::open(0).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(PidFd::open(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
        let pidfd = PidFd::current().unwrap();
        assert_eq!(pidfd.send_signal(9999).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(pidfd.is_alive().unwrap());
    }

    #[test]
    fn a_process_that_is_no_child_has_no_status() {
        assert_eq!(PidFd::current().unwrap().try_reap().unwrap(), None);
    }
}
