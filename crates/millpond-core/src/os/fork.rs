//! `fork` for processes with one thread, and the count of forks.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::os::refused::error_of;

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// The process that called, with its child's pid.
    Parent(u32),
    /// The new process.
    Child,
}

/// Forks this process.
///
/// # Safety
/// The process has one thread: in a child of several, whatever locks the others held stay locked.
///
/// # Errors
/// The system's, when processes or memory have run out.
pub unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: the caller promises a single thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent(child.cast_unsigned())),
    }
}

/// Has the kernel kill this process when its parent ends, and ends it now if `parent` already has.
///
/// The kernel watches the *thread* that forked. A zygote has one thread, so there that is exact.
///
/// # Errors
/// The system's.
pub(crate) fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(error_of("prctl"))?;
    if parent_pid() != parent {
        exit_now(1);
    }
    Ok(())
}

/// The pid of this process.
#[must_use]
pub fn pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().cast_unsigned()
}

/// The pid of this process' parent, 0 where it lies outside of the pid namespace.
#[must_use]
pub fn parent_pid() -> u32 {
    Pid::as_raw(rustix::process::getppid()).cast_unsigned()
}

/// Ends this process at once: no destructors, no exit handlers, no flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any status and has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Has `handler` run in every child that this process forks from now on, before anything else of
/// the engine does. It may only store atomics: threads of the parent may hold any lock.
pub(crate) fn in_forked_child(handler: extern "C" fn()) {
    around_forks(None, None, Some(handler));
}

/// How many forks lie between the calling process and the one of its ancestors that asked first. It
/// costs a load, where a pid costs a system call, and tells a child that the C library's `fork` made
/// from its parent.
#[must_use]
pub(crate) fn depth() -> u32 {
    if !DEPTH_IS_COUNTED.load(Ordering::Acquire) {
        // A thread that registers at the same time counts some forks twice, which does no harm.
        in_forked_child(count_depth);
        DEPTH_IS_COUNTED.store(true, Ordering::Release);
    }
    // Relaxed: the value stands for itself.
    DEPTH.load(Ordering::Relaxed)
}

static DEPTH: AtomicU32 = AtomicU32::new(0);
static DEPTH_IS_COUNTED: AtomicBool = AtomicBool::new(false);

extern "C" fn count_depth() {
    DEPTH.fetch_add(1, Ordering::Relaxed);
}

/// Has handlers run before each fork, and after it in the parent (even if it failed) and in the
/// child.
pub(crate) fn around_forks(
    before: Option<extern "C" fn()>,
    in_parent: Option<extern "C" fn()>,
    in_child: Option<extern "C" fn()>,
) {
    let as_unsafe = |handler: extern "C" fn()| handler as unsafe extern "C" fn();
    // SAFETY: the handlers are functions of this program or library, which is not unloaded. It
    // fails for want of memory only, and then nothing of the engine works much longer either.
    let _ = unsafe {
        libc::pthread_atfork(
            before.map(as_unsafe),
            in_parent.map(as_unsafe),
            in_child.map(as_unsafe),
        )
    };
}

/// Which process a piece of engine state belongs to.
///
/// A forked child inherits the memory of its parent but not its threads; state that carries this
/// tag is recognised there as somebody else's.
///
/// The pid tells it from processes that live, the `depth` from its ancestors, whose pids may be given
/// out anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pid: u32,
    depth: u32,
}

impl Owner {
    /// The process that calls.
    #[must_use]
    pub fn current() -> Self {
        Self { pid: pid(), depth: depth() }
    }

    /// Whether the calling process is the owner.
    #[must_use]
    pub fn is_current(self) -> bool {
        self == Self::current()
    }

    /// The owner's pid.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// It in a number that is not 0.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.depth) << 32 | u64::from(self.pid)
    }
}

/// Lets other threads run, in a loop that waits for one of them. In the long run it sleeps: a thread of
/// a real-time class that only yields never lets one of a lower class have the core.
pub(crate) fn give_way(turns: &mut u32) {
    *turns = turns.saturating_add(1);
    if *turns <= YIELDS {
        rustix::thread::sched_yield();
    } else {
        std::thread::sleep(NAP);
    }
}

/// How often a waiting thread yields before it sleeps.
const YIELDS: u32 = 100;
/// How long it sleeps then.
const NAP: Duration = Duration::from_micros(50);
