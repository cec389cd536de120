//! The pool's side of its zygote.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::os::eventfd::EventFd;
use crate::os::exit_status::ExitStatus;
use crate::os::lifeline::Lifeline;
use crate::os::pidfd::PidFd;
use crate::os::socket::{Received, Socket};
use crate::pool::control_block::ControlBlock;
use crate::pool::zygote::message::{LENGTH, Notice, Request};
use crate::pool::zygote::server::ZygoteFds;

/// How a pool gets its zygotes: one when it is made, and others for workers that take the places of
/// those that ended, if these are to see the program as it is by then.
///
/// All calls but the first come from a thread of their own, one after the other; see also
/// [`is_slow`](Self::is_slow).
pub trait ZygoteSource: Send + Sync {
    /// Makes a process that runs a [`Zygote`](super::server::Zygote) with these descriptors.
    ///
    /// # Errors
    /// The system's, when there can be no new process.
    fn start(&self, fds: ZygoteFds) -> io::Result<NewZygote>;

    /// Whether [`start`](Self::start) may take as long as a program needs to be imported. Then even
    /// the first call comes from a thread of its own, so that no caller waits for it.
    fn is_slow(&self) -> bool {
        false
    }

    /// Whether [`replace`](Self::replace) has anything to say. A source that does not age has workers
    /// of one kind for as long as the pool lives.
    fn ages(&self) -> bool {
        false
    }

    /// Prepares for `count` workers that take the places of others.
    ///
    /// # Errors
    /// Why there can be none; the pool tries again after a pause.
    fn replace(&self, count: usize) -> io::Result<Replacement> {
        let _ = count;
        Ok(Replacement { tags: Vec::new(), outdated: false })
    }
}

/// A process that was made to be a zygote.
#[derive(Debug)]
pub struct NewZygote {
    /// Its pid.
    pub pid: u32,
    /// Its pidfd. Without one it must be a child of the calling process, which has its number then
    /// until it is reaped.
    pub pidfd: Option<OwnedFd>,
}

impl NewZygote {
    /// A child of the calling process.
    #[must_use]
    pub fn child(pid: u32) -> Self {
        Self { pid, pidfd: None }
    }
}

/// How workers take the places of others.
#[derive(Debug)]
pub struct Replacement {
    /// What the binding calls each of them, for [`NewWorker::tag`](super::server::NewWorker::tag); 0 for
    /// those that the list is too short for.
    pub tags: Vec<u64>,
    /// Whether they must come from a zygote that is made now, since the one that there is has an old
    /// picture of the program.
    pub outdated: bool,
}

/// What the supervisor learns from a zygote.
#[derive(Debug)]
pub(crate) enum ZygoteEvent {
    Started {
        worker: u64,
        pid: u32,
        pidfd: Option<OwnedFd>,
    },
    Exited {
        worker: u64,
        status: ExitStatus,
    },
    Failed {
        worker: u64,
        error: io::Error,
    },
    /// The zygote is dead, and its workers die with it.
    Gone,
}

/// A zygote, in the process of its pool.
#[derive(Debug)]
pub(crate) struct ZygoteClient {
    /// Counted from 1 within the pool; the workers of one zygote are of its generation.
    pub(crate) generation: u64,
    /// Whether it was told to end: by itself, or with its last worker.
    dismissed: AtomicBool,
    socket: Socket,
    pid: Pid,
    pidfd: OwnedFd,
}

impl ZygoteClient {
    pub(crate) fn start(
        source: &dyn ZygoteSource,
        control_block: &ControlBlock,
        watcher: &EventFd,
        lifeline: &Lifeline,
        generation: u64,
    ) -> io::Result<Self> {
        // Where it is refused, no process is made that could not be watched.
        PidFd::current()?;
        let (socket, theirs) = Socket::pair()?;
        let NewZygote { pid, pidfd } = source.start(ZygoteFds {
            socket: theirs.into(),
            control_block: control_block.as_fd().try_clone_to_owned()?,
            watcher: watcher.as_fd().try_clone_to_owned()?,
            lifeline: lifeline.reader()?,
        })?;
        let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = match pidfd {
            Some(pidfd) => pidfd,
            None => pidfd_open(pid, PidfdFlags::empty())?,
        };
        Ok(Self { generation, dismissed: AtomicBool::new(false), socket, pid, pidfd })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn request_worker(
        &self,
        worker: u64,
        tag: u64,
        link: BorrowedFd<'_>,
        bundles: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.socket.send(&Request::Start { worker, tag }.encode(), &[link, bundles])
    }

    /// Has the zygote end when the last of its workers has ended.
    pub(crate) fn retire(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
        // If the zygote is gone already, that is what was wanted.
        let _ = self.socket.send(&Request::Retire.encode(), &[]);
    }

    /// Whether its end is no surprise.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Relaxed)
    }

    /// Has the zygote end its workers, with `timeout` before SIGKILL, and itself.
    pub(crate) fn quit(&self, timeout: Duration) {
        self.dismissed.store(true, Ordering::Relaxed);
        // If the zygote is gone already, that is what was wanted.
        let _ = self.socket.send(&Request::Quit { timeout }.encode(), &[]);
    }

    /// Readable when the zygote is dead, even while somebody else holds its end of the socket.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(crate) fn is_dead(&self) -> bool {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now)) == Ok(1)
    }

    pub(crate) fn kill(&self) {
        // It may be dead already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// The next thing that the zygote said, if there is one.
    pub(crate) fn poll(&self) -> Option<ZygoteEvent> {
        let mut buffer = [0; LENGTH];
        let (notice, mut fds) = match self.socket.receive(&mut buffer, false) {
            Ok(Received::Message(length, fds)) => (Notice::decode(&buffer[..length])?, fds),
            Ok(Received::Nothing) => return None,
            Ok(Received::Closed) | Err(_) => return Some(ZygoteEvent::Gone),
        };
        Some(match notice {
            // Without room for the descriptor here there is none; it is for kills only.
            Notice::Started { worker, pid } => {
                ZygoteEvent::Started { worker, pid, pidfd: fds.pop() }
            }
            Notice::Exited { worker, status: -1 } => {
                ZygoteEvent::Exited { worker, status: ExitStatus::Unknown }
            }
            Notice::Exited { worker, status } => {
                ZygoteEvent::Exited { worker, status: ExitStatus::from_wait(status) }
            }
            Notice::Failed { worker, errno } => {
                ZygoteEvent::Failed { worker, error: io::Error::from_raw_os_error(errno) }
            }
            Notice::Ready => return None,
        })
    }

    /// Waits for the end of the process, which is near, and reaps it.
    pub(crate) fn reap(&self) {
        // ECHILD: somebody else in this program reaped it, or its template does.
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// Kills a process and sleeps until it is dead.
pub(crate) fn kill_and_wait(pidfd: &OwnedFd) {
    // It may be dead already.
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
}

impl AsFd for ZygoteClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
