//! The zygote of a pool: this program again, with one thread, forking workers.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::{fs, io, process};

use millpond_core::os::exec::Exec;
use millpond_core::os::inherited::adopt;
use millpond_core::os::pidfd::PidFd;
use millpond_core::pool::worker::Worker;
use millpond_core::pool::zygote::client::{NewZygote, ZygoteSource};
use millpond_core::pool::zygote::server::{Zygote, ZygoteFds};

use super::bootstrap::Bootstrap;
use super::last_words::{self, LastWords};
use super::worker;
use crate::image::Image;
use crate::panic;
use crate::process::identity::{Identity, Parent};
use crate::role::{self, NOT_RUN, Role, leave_stdin};
use crate::wire_handle::Kept;

/// Starts zygotes for one pool.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) bootstrap: Bootstrap,
    /// What handles among the initializer's arguments lead to.
    #[expect(dead_code, reason = "it is held, not used")]
    pub(super) kept: Kept,
    pub(super) last_words: Arc<LastWords>,
}

impl ZygoteSource for Source {
    fn start(&self, fds: ZygoteFds) -> io::Result<NewZygote> {
        let (bootstrap, owner) = (self.bootstrap.to_file()?, PidFd::current()?);
        if cfg!(panic = "abort") {
            self.last_words.listen(bootstrap.as_fd())?;
        }
        let (socket, control_block) = (fds.socket.as_fd(), fds.control_block.as_fd());
        let (watcher, lifeline) = (fds.watcher.as_fd(), fds.lifeline.as_fd());
        let (bootstrap, owner) = (bootstrap.as_fd(), owner.as_fd());
        let role = Role::Zygote {
            socket: socket.as_raw_fd(),
            control_block: control_block.as_raw_fd(),
            watcher: watcher.as_raw_fd(),
            lifeline: lifeline.as_raw_fd(),
            bootstrap: bootstrap.as_raw_fd(),
            owner: owner.as_raw_fd(),
        };
        let exec = Exec::this_program().variable(role::VARIABLE, &role.to_text());
        let inherited = [socket, control_block, watcher, lifeline, bootstrap, owner];
        let exec = inherited.into_iter().fold(exec, Exec::inherit);
        Ok(NewZygote::child(exec.start()?.pid))
    }
}

/// Does what this process was started for, and ends it. The descriptors are those of
/// [`Role::Zygote`], in that order.
pub(crate) fn run(fds: [RawFd; 6]) -> ! {
    let Err(error) = serve(fds);
    eprintln!("millpond: this child cannot read what it is to do: {error}");
    process::exit(NOT_RUN)
}

fn serve(fds: [RawFd; 6]) -> io::Result<std::convert::Infallible> {
    let mut adopted = Vec::with_capacity(fds.len());
    for fd in fds {
        // SAFETY: the parent left each open for this role, which is taken once.
        adopted.push(unsafe { adopt(fd) }?);
    }
    let fds: [OwnedFd; 6] = adopted.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    let [socket, control_block, watcher, lifeline, bootstrap, owner] = fds;
    let bootstrap_file = File::from(bootstrap);
    let bootstrap = Bootstrap::from_file(&bootstrap_file)?;
    let owner = PidFd::from(owner);
    leave_stdin();
    leave_group();
    // Here once, rather than in every worker.
    // Elsewhere results tell of panics, and workers have no use for the file.
    let last_words = cfg!(panic = "abort").then_some(bootstrap_file);
    panic::install_hook(move |report| {
        last_words.iter().for_each(|file| last_words::say(file, report));
    });
    Image::of_this_program();
    let fds = ZygoteFds { socket, control_block, watcher, lifeline };
    let mut zygote = Zygote::new(fds, bootstrap.owner_pid)?;
    if !has_one_thread() {
        loop {
            let order = zygote.next_order();
            zygote.failed(&order, &rustix::io::Errno::DEADLK.into());
        }
    }
    // SAFETY: this process has one thread, as was looked at, and starts none.
    let new = unsafe { zygote.serve() }?;
    leave_group();
    new.unblock_signals()?;
    let worker = Worker::attach(new.fds)?;
    identity(&bootstrap, new.number, owner).assume();
    worker::run(worker, &bootstrap);
}

/// Makes this process a process group of its own: Ctrl-C at a terminal is for the program, which
/// decides what becomes of its workers, and what a task sends to its group reaches nobody else.
fn leave_group() {
    // It can only fail for the leader of a session, which alone is no other group's member.
    let _ = rustix::process::setpgid(None, None);
    // Else a terminal may stop a process that writes and is in no group of the foreground.
    // SAFETY: to ignore a signal runs no code of this program.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
}

/// Whether it is safe to fork. What ran before `init` may have started threads.
fn has_one_thread() -> bool {
    let single = fs::read_dir("/proc/self/task").map(Iterator::count).is_ok_and(|count| count == 1);
    if !single {
        eprintln!(
            "millpond: a thread was started before `millpond::init()`; workers are forked from \
             here and cannot have it: call `millpond::init()` first in `main`"
        );
    }
    single
}

fn identity(bootstrap: &Bootstrap, number: u64, owner: PidFd) -> Identity {
    let lineage = [&bootstrap.owner_lineage[..], &[number]].concat();
    let numbers: Vec<String> = lineage.iter().map(u64::to_string).collect();
    Identity {
        name: format!("PoolWorker-{}", numbers.join(":")),
        lineage,
        daemon: true,
        parent: Parent {
            name: bootstrap.owner_name.clone(),
            pid: bootstrap.owner_pid,
            pidfd: owner,
        },
    }
}
