//! The zygote's own side: what runs in its process.
//!
//! The binding makes the process, by [`fork_zygote`] or by starting a program that calls
//! [`Zygote::serve`]. Either returns in the workers.
//!
//! The zygote runs engine code alone, from its first instruction to its last: a program that it was
//! forked from does not notice it, and nothing that the program's libraries left behind can hold it up.
//! It reaps its workers and tells the pool how they ended. It watches the pool's owner by a pidfd,
//! since the socket may be held open by children that the owner forked, and by the owner's
//! lifeline, since a pidfd survives exec. When the owner is gone it kills the
//! workers and ends; when the zygote itself is killed, the kernel kills the workers
//! (`PR_SET_PDEATHSIG`, exact here because the zygote has one thread).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, RawDir, Timespec, open, readlinkat_raw};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::channel::link;
use crate::crash::crash_point;
use crate::os::fork::{Forked, die_with_parent, exit_now, fork, pid};
use crate::os::signals::{self, SignalMask};
use crate::os::socket::{Received, Socket};
use crate::pool::worker::WorkerFds;
use crate::pool::zygote::message::{LENGTH, Notice, Request};

/// How procfs shows the memory of links; see [`PoolEnd::create`](crate::channel::link::PoolEnd::create).
const LINK_PATH: &str = "/memfd:millpond-link";

/// How long idle workers have to end by themselves. The pool has told those that are busy.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a zygote process is given by its pool.
#[derive(Debug)]
pub struct ZygoteFds {
    /// Where requests come from.
    pub socket: OwnedFd,
    /// The memory of the pool's control block.
    pub control_block: OwnedFd,
    /// Wakes the pool's supervisor.
    pub watcher: OwnedFd,
    /// Hung up when the owner ends or executes another program.
    pub lifeline: OwnedFd,
}

/// A zygote, in the zygote's process.
#[derive(Debug)]
pub struct Zygote {
    pid: u32,
    owner: OwnedFd,
    lifeline: OwnedFd,
    socket: Socket,
    control_block: OwnedFd,
    watcher: OwnedFd,
    workers: Vec<Child>,
    mask: SignalMask,
    /// When the workers that are left get SIGTERM, once the zygote was told to quit.
    terminate_at: Option<Instant>,
    /// When those that are left then are killed.
    deadline: Option<Instant>,
    /// Whether it is to end with the last of its workers.
    retiring: bool,
}

/// Why a zygote woke.
struct Woken {
    owner_is_gone: bool,
    has_request: bool,
    /// Of each worker whether it has ended.
    ended: Vec<bool>,
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
    pub(crate) worker: u64,
    tag: u64,
    link: OwnedFd,
    bundles: OwnedFd,
}

/// A worker that has just been forked, in its process.
#[derive(Debug)]
pub struct NewWorker {
    /// Its number, counted from 1 within its pool.
    pub number: u64,
    /// What the binding calls it: see [`ZygoteSource::replace`](super::client::ZygoteSource::replace).
    pub tag: u64,
    /// What it works with.
    pub fds: WorkerFds,
    mask: SignalMask,
}

impl NewWorker {
    /// Gives the process the signal mask that the zygote began with; every signal is blocked until then.
    ///
    /// # Errors
    /// The system's.
    pub fn unblock_signals(&self) -> io::Result<()> {
        self.mask.restore()
    }
}

/// The process in which [`fork_zygote`] returned.
#[derive(Debug)]
pub enum Forkling {
    /// The owner, with the zygote's pid.
    Owner(u32),
    /// A worker, or what kept the process from becoming one: then it should exit.
    Worker(io::Result<NewWorker>),
}

/// Forks a zygote from the calling process, the pool's owner. Returns there, and in each worker.
///
/// # Safety
/// What the caller does in a worker is sound in a child of a process with several threads: it touches
/// nothing that another thread may have been in the midst of, or sets it right first.
///
/// # Errors
/// In the owner, the system's.
pub unsafe fn fork_zygote(fds: ZygoteFds) -> io::Result<Forkling> {
    let owner = pid();
    // Until the zygote and its workers are what they are to be, no handler of the program runs there.
    let mask = signals::block_all()?;
    // SAFETY: the child uses the engine alone, which takes no lock there but the C library's, and those
    // are free after its `fork`; the rest is what the caller promises.
    match unsafe { fork() } {
        Ok(Forked::Parent(zygote)) => {
            mask.restore()?;
            Ok(Forkling::Owner(zygote))
        }
        Ok(Forked::Child) => match Zygote::with_mask(without_links(fds), owner, mask) {
            // SAFETY: a forked child has one thread.
            Ok(zygote) => Ok(Forkling::Worker(unsafe { zygote.serve() })),
            Err(_) => exit_now(1),
        },
        Err(error) => {
            mask.restore()?;
            Err(error)
        }
    }
}

/// Lets go of the links of workers, which a fork of their pool's owner inherits. Their memory would be
/// kept for as long as the last of the new workers lives.
///
/// Copies of the objects that own these descriptors may yet be dropped, and close their numbers: so
/// another file gets these, which is the pool's anyway.
fn without_links(fds: ZygoteFds) -> ZygoteFds {
    // Memory that this allocates would be copied, page by page, from the owner's.
    let mut entries = [MaybeUninit::uninit(); 4096];
    let mut path = [MaybeUninit::uninit(); LINK_PATH.len()];
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Without procfs they stay.
    let Ok(directory) = open("/proc/self/fd", flags, Mode::empty()) else {
        return fds;
    };
    let mut entries = RawDir::new(&directory, &mut entries);
    while let Some(Ok(entry)) = entries.next() {
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok());
        let shown = readlinkat_raw(&directory, entry.file_name(), &mut path);
        if let (Some(number), Ok((shown, _))) = (number, shown)
            && shown == LINK_PATH.as_bytes()
        {
            // SAFETY: `dup3` replaces what is behind the number, which stays open.
            unsafe { libc::dup3(fds.control_block.as_raw_fd(), number, libc::O_CLOEXEC) };
        }
    }
    fds
}

impl Zygote {
    /// Takes up the zygote's work for the process `owner`, with every signal blocked: a Ctrl-C
    /// that reaches the whole group is for the program and its workers to handle. Ends the process
    /// if the owner is dead already.
    ///
    /// # Errors
    /// The system's. The process should exit then.
    pub fn new(fds: ZygoteFds, owner: u32) -> io::Result<Self> {
        Self::with_mask(fds, owner, signals::block_all()?)
    }

    fn with_mask(fds: ZygoteFds, owner: u32, mask: SignalMask) -> io::Result<Self> {
        Ok(Self::of_owner(fds, pidfd_of_parent(owner)?, mask))
    }

    /// Takes up the zygote's work for an owner that is watched by its pidfd, with every signal blocked.
    pub(super) fn of_owner(fds: ZygoteFds, owner: OwnedFd, mask: SignalMask) -> Self {
        let (pid, workers) = (pid(), Vec::new());
        let socket = fds.socket.into();
        let ZygoteFds { control_block, watcher, lifeline, .. } = fds;
        let (terminate_at, deadline, retiring) = (None, None, false);
        Self {
            pid,
            owner,
            lifeline,
            socket,
            control_block,
            watcher,
            workers,
            mask,
            terminate_at,
            deadline,
            retiring,
        }
    }

    /// Forks a worker for each order, and returns in the workers; in the zygote it never does.
    ///
    /// # Safety
    /// The process has one thread.
    ///
    /// # Errors
    /// In a worker, the system's. The process should exit then.
    pub unsafe fn serve(mut self) -> io::Result<NewWorker> {
        loop {
            let order = self.next_order();
            crash_point!("zygote: has an order");
            // SAFETY: the caller promises a single thread.
            match unsafe { fork() } {
                Ok(Forked::Child) => return self.become_worker(order),
                Ok(Forked::Parent(pid)) => {
                    crash_point!("zygote: forked");
                    // The pool has been told of a failure.
                    let _ = self.started(&order, pid);
                    crash_point!("zygote: told of the start");
                }
                Err(error) => self.failed(&order, &error),
            }
        }
    }

    /// Waits for the next worker to be forked. Does not return when the pool or its owner is gone:
    /// then the workers are ended and the process exits.
    pub fn next_order(&mut self) -> StartOrder {
        loop {
            let woken = self.wait();
            self.reap(&woken.ended);
            if woken.owner_is_gone {
                self.kill_all(Signal::KILL);
                exit_now(0);
            }
            match if woken.has_request { self.request() } else { None } {
                Some((Request::Start { worker, tag }, fds)) if self.deadline.is_none() => {
                    if let Ok([link, bundles]) = <[OwnedFd; 2]>::try_from(fds) {
                        // The order to quit comes behind this one.
                        if link::is_ending(link.as_fd()) {
                            continue;
                        }
                        return StartOrder { worker, tag, link, bundles };
                    }
                    // There was no room for the descriptors here.
                    let errno = Errno::MFILE.raw_os_error();
                    let _ = self.socket.send(&Notice::Failed { worker, errno }.encode(), &[]);
                }
                Some((Request::Quit { timeout }, _)) => {
                    self.terminate_at = Some(Instant::now() + EXIT_TIMEOUT.min(timeout));
                    self.deadline = Some(Instant::now() + timeout);
                }
                Some((Request::Retire, _)) => self.retiring = true,
                _ => {}
            }
            if (self.deadline.is_some() || self.retiring) && self.workers.is_empty() {
                exit_now(0);
            }
            if self.terminate_at.is_some_and(|at| at <= Instant::now()) {
                self.terminate_at = None;
                self.kill_all(Signal::TERM);
            }
            if self.deadline.is_some_and(|d| d <= Instant::now()) {
                self.kill_all(Signal::KILL);
            }
        }
    }

    /// Sleeps until there is a request, a worker or the owner died, or the timeout is over.
    fn wait(&self) -> Woken {
        let mut fds = vec![
            in_poll(self.owner.as_fd()),
            PollFd::from_borrowed_fd(self.lifeline.as_fd(), PollFlags::empty()),
            in_poll(self.socket.as_fd()),
        ];
        fds.extend(self.workers.iter().map(|child| in_poll(child.pidfd.as_fd())));
        let next = self.terminate_at.or(self.deadline);
        let timeout = next.map(|d| d.saturating_duration_since(Instant::now()));
        // After SIGKILL workers end without fail; look again at leisure.
        let timeout = timeout.map(|t| timespec(t.max(Duration::from_millis(10))));
        // EINTR cannot come: signals are blocked. Want of memory is not for long.
        let _ = poll(&mut fds, timeout.as_ref());
        let mut is_set = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || is_set.next().unwrap_or(false);
        let owner_is_gone = next() | next();
        Woken { owner_is_gone, has_request: next(), ended: is_set.collect() }
    }

    fn request(&mut self) -> Option<(Request, Vec<OwnedFd>)> {
        let mut buffer = [0; LENGTH];
        match self.socket.receive(&mut buffer, false) {
            Ok(Received::Message(length, fds)) => Some((Request::decode(&buffer[..length])?, fds)),
            Ok(Received::Nothing) => None,
            // Nobody will ask for anything any more.
            Ok(Received::Closed) | Err(_) => {
                self.kill_all(Signal::KILL);
                exit_now(0);
            }
        }
    }

    /// Takes the status of the workers that have ended: each has a place in `ended`.
    fn reap(&mut self, ended: &[bool]) {
        let socket = &self.socket;
        let mut ended = ended.iter();
        self.workers.retain(|child| {
            if ended.next() != Some(&true) {
                return true;
            }
            let status = match waitpid(Some(child.pid), WaitOptions::NOHANG) {
                Ok(None) => return true,
                ended => ended.ok().flatten().map_or(-1, |(_, status)| status.as_raw()),
            };
            // The pool may be gone: then nobody needs to know.
            let _ = socket.send(&Notice::Exited { worker: child.worker, status }.encode(), &[]);
            false
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
    fn started(&mut self, order: &StartOrder, pid: u32) -> io::Result<()> {
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

    /// Turns the calling process, just forked, into the worker: it dies with the zygote from now on.
    fn become_worker(self, order: StartOrder) -> io::Result<NewWorker> {
        die_with_parent(self.pid)?;
        // The zygote's socket and the pidfds of the other workers are closed by dropping them.
        let StartOrder { worker, tag, link, bundles } = order;
        let fds =
            WorkerFds { link, bundles, control_block: self.control_block, watcher: self.watcher };
        Ok(NewWorker { number: worker, tag, fds, mask: self.mask })
    }
}

/// The pidfd of the process `owner`, which started this one. Ends this process if it is dead already.
pub(super) fn pidfd_of_parent(owner: u32) -> io::Result<OwnedFd> {
    let raw = Pid::from_raw(owner.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    match pidfd_open(raw, PidfdFlags::empty()) {
        // An owner that died before it was watched may have left its number to another process.
        Ok(owner) if rustix::process::getppid() == Some(raw) => Ok(owner),
        Ok(_) | Err(Errno::SRCH) => exit_now(0),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn in_poll(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

pub(super) fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    let now = timespec(Duration::ZERO);
    poll(&mut [in_poll(pidfd)], Some(&now)) == Ok(0)
}

pub(super) fn is_hung_up(pipe: BorrowedFd<'_>) -> bool {
    let now = timespec(Duration::ZERO);
    poll(&mut [PollFd::from_borrowed_fd(pipe, PollFlags::empty())], Some(&now)) == Ok(1)
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
