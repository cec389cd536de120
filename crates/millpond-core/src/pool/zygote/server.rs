//! The zygote's own side: what runs in its process.
//!
//! The door makes the process (by forking while it may, or by starting a program) and drives it:
//!
//! ```text
//! loop { order = zygote.next_order();  fork();  child: zygote.become_worker(order)
//!                                         zygote: zygote.started(order, pid) }
//! ```
//!
//! The zygote reaps its workers and tells the pool how they ended. It watches the pool's owner by
//! a pidfd, since the socket may be held open by children that the owner forked. When the owner is
//! gone it kills the workers and ends; when the zygote itself is killed, the kernel kills the
//! workers (`PR_SET_PDEATHSIG`, exact here because the zygote has one thread).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::os::fork::{die_with_parent, exit_now, pid};
use crate::os::signals::{self, SignalMask};
use crate::os::socket::{Received, Socket};
use crate::pool::worker::WorkerFds;
use crate::pool::zygote::message::{LENGTH, Notice, Request};

/// What a zygote process is given by its pool.
#[derive(Debug)]
pub struct ZygoteFds {
    /// Where requests come from.
    pub socket: OwnedFd,
    /// The memory of the pool's commons.
    pub commons: OwnedFd,
    /// Wakes the pool's supervisor.
    pub watcher: OwnedFd,
}

/// A zygote, in the zygote's process.
#[derive(Debug)]
pub struct Zygote {
    pid: u32,
    owner: OwnedFd,
    socket: Socket,
    commons: OwnedFd,
    watcher: OwnedFd,
    workers: Vec<Child>,
    mask: SignalMask,
    /// When the workers that are left are killed, once the zygote was told to quit.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Child {
    worker: u64,
    pid: Pid,
    pidfd: OwnedFd,
}

/// A worker to be forked.
#[derive(Debug)]
pub struct StartOrder {
    /// The worker's number, counted from 1 within its pool.
    pub worker: u64,
    link: OwnedFd,
}

impl Zygote {
    /// Takes up the zygote's work for the process `owner`, with every signal blocked: a Ctrl-C
    /// that reaches the whole group is for the program and its workers to handle. Ends the process
    /// if the owner is dead already.
    ///
    /// # Errors
    /// The system's. The process should exit then.
    pub fn new(fds: ZygoteFds, owner: u32) -> io::Result<Self> {
        let mask = signals::block_all()?;
        let raw = Pid::from_raw(owner.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        let owner = match pidfd_open(raw, PidfdFlags::empty()) {
            // An owner that died before it was watched may have left its number to another process.
            Ok(owner) if rustix::process::getppid() == Some(raw) => owner,
            Ok(_) | Err(Errno::SRCH) => exit_now(0),
            Err(errno) => return Err(errno.into()),
        };
        let (pid, workers) = (pid(), Vec::new());
        let socket = fds.socket.into();
        let (commons, watcher) = (fds.commons, fds.watcher);
        Ok(Self { pid, owner, socket, commons, watcher, workers, mask, deadline: None })
    }

    /// Waits for the next worker to be forked. Does not return when the pool or its owner is gone:
    /// then the workers are ended and the process exits.
    pub fn next_order(&mut self) -> StartOrder {
        loop {
            self.wait();
            self.reap();
            if !is_alive(self.owner.as_fd()) {
                self.kill_all(Signal::KILL);
                exit_now(0);
            }
            match self.request() {
                Some((Request::Start(worker), Some(link))) if self.deadline.is_none() => {
                    return StartOrder { worker, link };
                }
                Some((Request::Start(worker), None)) => {
                    // There was no room for the descriptor here.
                    let errno = Errno::MFILE.raw_os_error();
                    let _ = self.socket.send(&Notice::Failed { worker, errno }.encode(), &[]);
                }
                Some((Request::Quit { grace }, _)) => {
                    self.kill_all(Signal::TERM);
                    self.deadline = Some(Instant::now() + grace);
                }
                _ => {}
            }
            if self.deadline.is_some() && self.workers.is_empty() {
                exit_now(0);
            }
            if self.deadline.is_some_and(|d| d <= Instant::now()) {
                self.kill_all(Signal::KILL);
            }
        }
    }

    /// Sleeps until there is a request, a worker or the owner died, or the grace is over.
    fn wait(&self) {
        let mut fds: Vec<_> = self.workers.iter().map(|c| in_poll(c.pidfd.as_fd())).collect();
        fds.push(in_poll(self.owner.as_fd()));
        fds.push(in_poll(self.socket.as_fd()));
        let timeout = self.deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // After SIGKILL workers end without fail; look again at leisure.
        let timeout = timeout.map(|t| timespec(t.max(Duration::from_millis(10))));
        // EINTR cannot come: signals are blocked. Other errors show in what is looked at next.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn request(&mut self) -> Option<(Request, Option<OwnedFd>)> {
        let mut buffer = [0; LENGTH];
        match self.socket.receive(&mut buffer, false) {
            Ok(Received::Message(length, fds)) => {
                Some((Request::decode(&buffer[..length])?, fds.into_iter().next()))
            }
            Ok(Received::Nothing) => None,
            // Nobody will ask for anything any more.
            Ok(Received::Closed) | Err(_) => {
                self.kill_all(Signal::KILL);
                exit_now(0);
            }
        }
    }

    fn reap(&mut self) {
        let socket = &self.socket;
        self.workers.retain(|child| match waitpid(Some(child.pid), WaitOptions::NOHANG) {
            Ok(None) => true,
            ended => {
                let status = ended.ok().flatten().map_or(-1, |(_, status)| status.as_raw());
                let notice = Notice::Exited { worker: child.worker, status };
                // The pool may be gone: then nobody needs to know.
                let _ = socket.send(&notice.encode(), &[]);
                false
            }
        });
    }

    fn kill_all(&self, signal: Signal) {
        for child in &self.workers {
            // Only a child that was reaped, and so is not in the list, cannot be signalled.
            let _ = pidfd_send_signal(&child.pidfd, signal);
        }
    }

    /// Tells the pool that the worker was forked as process `pid`.
    ///
    /// # Errors
    /// The system's, when descriptors have run out; the worker is killed then and the pool told.
    pub fn started(&mut self, order: &StartOrder, pid: u32) -> io::Result<()> {
        let raw = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(errno) => {
                let _ = rustix::process::kill_process(raw, Signal::KILL);
                let _ = waitpid(Some(raw), WaitOptions::empty());
                self.failed(order, &errno.into());
                return Err(errno.into());
            }
        };
        let notice = Notice::Started { worker: order.worker, pid };
        let _ = self.socket.send(&notice.encode(), &[pidfd.as_fd()]);
        self.workers.push(Child { worker: order.worker, pid: raw, pidfd });
        Ok(())
    }

    /// Tells the pool that the worker could not be forked.
    pub fn failed(&self, order: &StartOrder, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(0);
        let _ = self.socket.send(&Notice::Failed { worker: order.worker, errno }.encode(), &[]);
    }

    /// Turns the calling process, just forked, into the worker: it dies with the zygote from now
    /// on, and has the signal mask that the zygote began with.
    ///
    /// # Errors
    /// The system's. The process should exit then.
    pub fn become_worker(self, order: StartOrder) -> io::Result<WorkerFds> {
        die_with_parent(self.pid)?;
        self.mask.restore()?;
        // The zygote's socket and the pidfds of the other workers are closed by dropping them.
        Ok(WorkerFds { link: order.link, commons: self.commons, watcher: self.watcher })
    }
}

fn in_poll(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    let now = timespec(Duration::ZERO);
    poll(&mut [in_poll(pidfd)], Some(&now)) == Ok(0)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
