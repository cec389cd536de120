//! A template: a process that a program prepares once, and that then forks the zygotes of its pools.
//!
//! To prepare an interpreter takes long: it imports the program. A pool whose zygote is a fork of an
//! interpreter that is prepared begins at once. The template runs engine code alone from the moment that
//! it is ready, as its zygotes do. It reaps them; the pools learn of their ends by their pidfds. A
//! zygote goes on if its template is killed. `pool/README.md` has the protocol.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};

use crate::os::fork::{Forked, exit_now, fork};
use crate::os::lifeline::Lifeline;
use crate::os::signals::{self, SignalMask};
use crate::os::socket::{Received, Socket};
use crate::pool::supervisor;
use crate::pool::zygote::message::{LENGTH, Notice, Request};
use crate::pool::zygote::server::{
    NewWorker, Zygote, ZygoteFds, in_poll, is_alive, is_hung_up, pidfd_of_parent, timespec,
};

/// How many descriptors go with one message.
const AT_ONCE: usize = 4;

/// A template, in its own process.
#[derive(Debug)]
pub struct Template {
    owner: OwnedFd,
    lifeline: OwnedFd,
    socket: Socket,
    mask: SignalMask,
    zygotes: Vec<(Pid, OwnedFd)>,
}

/// A zygote to be forked.
struct ForkOrder {
    number: u64,
    fds: ZygoteFds,
    passed: Vec<OwnedFd>,
}

impl Template {
    /// Takes up a template's work for the process `owner`, which started this one, with every signal
    /// blocked. Ends the process if the owner is dead already.
    ///
    /// # Errors
    /// The system's. The process should exit then.
    pub fn new(socket: OwnedFd, lifeline: OwnedFd, owner: u32) -> io::Result<Self> {
        let mask = signals::block_all()?;
        let (owner, socket) = (pidfd_of_parent(owner)?, socket.into());
        Ok(Self { owner, lifeline, socket, mask, zygotes: Vec::new() })
    }

    /// Forks a zygote for each order. Returns in the zygotes' workers, with the descriptors that were
    /// passed to the zygote beside its own; in the template it never does.
    ///
    /// # Safety
    /// The process has one thread.
    ///
    /// # Errors
    /// In a worker, the system's. The process should exit then.
    pub unsafe fn serve(mut self) -> io::Result<(NewWorker, Vec<OwnedFd>)> {
        let _ = self.socket.send(&Notice::Ready.encode(), &[]);
        loop {
            let order = self.next_order();
            // SAFETY: the caller promises a single thread.
            match unsafe { fork() } {
                Ok(Forked::Child) => {
                    let Self { owner, mask, lifeline, socket, zygotes } = self;
                    // Only the template speaks for it.
                    drop((lifeline, socket, zygotes));
                    let zygote = Zygote::of_owner(order.fds, owner, mask);
                    // SAFETY: a forked child has one thread.
                    return unsafe { zygote.serve() }.map(|new| (new, order.passed));
                }
                Ok(Forked::Parent(pid)) => {
                    self.forked(order.number, pid);
                }
                Err(error) => self.failed(order.number, &error),
            }
        }
    }

    /// Waits for an order. Ends the process when its owner is gone.
    fn next_order(&mut self) -> ForkOrder {
        loop {
            let mut fds: Vec<_> = self.zygotes.iter().map(|(_, fd)| in_poll(fd.as_fd())).collect();
            fds.push(in_poll(self.owner.as_fd()));
            fds.push(PollFd::from_borrowed_fd(self.lifeline.as_fd(), PollFlags::empty()));
            fds.push(in_poll(self.socket.as_fd()));
            // EINTR cannot come: signals are blocked. Other errors show in what is looked at next.
            let _ = poll(&mut fds, None);
            self.zygotes
                .retain(|(pid, _)| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
            if !is_alive(self.owner.as_fd()) || is_hung_up(self.lifeline.as_fd()) {
                exit_now(0);
            }
            if let Some((Request::Fork { zygote, passed }, fds)) = self.request(false) {
                let passed = self.passed(passed);
                let Ok([socket, control_block, watcher, lifeline]) = <[OwnedFd; 4]>::try_from(fds)
                else {
                    self.failed(zygote, &rustix::io::Errno::MFILE.into());
                    continue;
                };
                match passed {
                    Some(passed) => {
                        let fds = ZygoteFds { socket, control_block, watcher, lifeline };
                        return ForkOrder { number: zygote, fds, passed };
                    }
                    None => self.failed(zygote, &rustix::io::Errno::MFILE.into()),
                }
            }
        }
    }

    /// Receives `count` descriptors; `None` if there was no room for all of them here.
    fn passed(&self, count: u32) -> Option<Vec<OwnedFd>> {
        let mut passed = Vec::new();
        let mut left = usize::try_from(count).ok()?;
        let mut complete = true;
        while left > 0 {
            let Some((Request::Pass, fds)) = self.request(true) else {
                return None;
            };
            complete &= fds.len() == left.min(AT_ONCE);
            left -= left.min(AT_ONCE);
            passed.extend(fds);
        }
        complete.then_some(passed)
    }

    fn request(&self, wait: bool) -> Option<(Request, Vec<OwnedFd>)> {
        let mut buffer = [0; LENGTH];
        match self.socket.receive(&mut buffer, wait) {
            Ok(Received::Message(length, fds)) => Some((Request::decode(&buffer[..length])?, fds)),
            Ok(Received::Nothing) => None,
            // No request will come any more.
            Ok(Received::Closed) | Err(_) => exit_now(0),
        }
    }

    /// Tells the owner of a zygote. Without a descriptor for it here, it is killed.
    fn forked(&mut self, number: u64, pid: u32) {
        let Some(raw) = Pid::from_raw(pid.cast_signed()) else {
            return;
        };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let notice = Notice::Started { worker: number, pid };
                let _ = self.socket.send(&notice.encode(), &[pidfd.as_fd()]);
                self.zygotes.push((raw, pidfd));
            }
            Err(errno) => {
                let _ = rustix::process::kill_process(raw, Signal::KILL);
                let _ = waitpid(Some(raw), WaitOptions::empty());
                self.failed(number, &errno.into());
            }
        }
    }

    fn failed(&self, number: u64, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(0);
        let _ = self.socket.send(&Notice::Failed { worker: number, errno }.encode(), &[]);
    }
}

/// A template, in the process of its owner.
#[derive(Debug)]
pub struct TemplateClient {
    socket: Socket,
    /// Of this process, which the template watches.
    #[expect(dead_code, reason = "it is held, not used")]
    lifeline: Arc<Lifeline>,
}

/// What a template said.
#[derive(Debug)]
pub enum Answer {
    /// It is prepared.
    Ready,
    /// It forked the zygote of this number: its pid and its pidfd.
    Forked(u64, u32, OwnedFd),
    /// It could not fork that one.
    Failed(u64, io::Error),
    /// It is dead.
    Gone,
}

impl TemplateClient {
    /// Returns the owner's side, and for [`Template::new`] a socket and the owner's lifeline.
    ///
    /// # Errors
    /// The system's, when descriptors have run out.
    pub fn pair() -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (socket, theirs) = Socket::pair()?;
        let lifeline = supervisor::lifeline()?;
        let reader = lifeline.reader()?;
        Ok((Self { socket, lifeline }, theirs.into(), reader))
    }

    /// Asks for a zygote with these descriptors, whose workers get the others too. The template must
    /// be ready: until then it does not read, and a socket holds only so much.
    ///
    /// # Errors
    /// `BrokenPipe` if the template is dead.
    pub fn request(
        &self,
        number: u64,
        fds: &ZygoteFds,
        passed: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let count = u32::try_from(passed.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let own = [&fds.socket, &fds.control_block, &fds.watcher, &fds.lifeline].map(AsFd::as_fd);
        self.socket.send(&Request::Fork { zygote: number, passed: count }.encode(), &own)?;
        for some in passed.chunks(AT_ONCE) {
            self.socket.send(&Request::Pass.encode(), some)?;
        }
        Ok(())
    }

    /// What the template says next; `None` if it says nothing for so long.
    ///
    /// # Errors
    /// The system's.
    pub fn answer(&self, wait: Duration) -> io::Result<Option<Answer>> {
        if poll(&mut [in_poll(self.socket.as_fd())], Some(&timespec(wait))) != Ok(1) {
            return Ok(None);
        }
        let mut buffer = [0; LENGTH];
        let (notice, mut fds) = match self.socket.receive(&mut buffer, false)? {
            Received::Message(length, fds) => (Notice::decode(&buffer[..length]), fds),
            Received::Nothing => return Ok(None),
            Received::Closed => return Ok(Some(Answer::Gone)),
        };
        Ok(match (notice, fds.pop()) {
            (Some(Notice::Ready), _) => Some(Answer::Ready),
            (Some(Notice::Started { worker, pid }), Some(pidfd)) => {
                Some(Answer::Forked(worker, pid, pidfd))
            }
            (Some(Notice::Started { worker, .. }), None) => {
                Some(Answer::Failed(worker, rustix::io::Errno::MFILE.into()))
            }
            (Some(Notice::Failed { worker, errno }), _) => {
                Some(Answer::Failed(worker, io::Error::from_raw_os_error(errno)))
            }
            (Some(Notice::Exited { .. }) | None, _) => None,
        })
    }
}
