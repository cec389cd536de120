//! Starting a program as a child of this process.
//!
//! `clone(CLONE_VM | CLONE_VFORK)` borrows the parent's memory until the program is loaded, so the
//! price does not grow with the parent; `CLONE_PIDFD` names the child without a race; and since the
//! table of descriptors is the child's own, what it inherits is decided there, where no other
//! thread's start can interfere.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicI32, Ordering};

use super::pidfd::PidFd;
use super::signals;

/// The program of this process, also when its file has been replaced or removed.
pub(crate) const THIS_PROGRAM: &CStr = c"/proc/self/exe";

/// What the child's stack needs at most: it makes a few system calls.
const STACK_SIZE: usize = 64 * 1024;

/// A program to be started.
#[derive(Debug)]
pub struct Exec<'fd> {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    inherited: Vec<BorrowedFd<'fd>>,
    death_signal: c_int,
}

/// A child that has been started.
#[derive(Debug)]
pub struct Started {
    /// Its number.
    pub pid: u32,
    /// Its descriptor.
    pub pidfd: PidFd,
}

impl<'fd> Exec<'fd> {
    /// This program again, with the arguments and the environment of this process.
    #[must_use]
    pub fn this_program() -> Self {
        // Neither can hold a NUL: both came from C strings.
        let c_string = |text: OsString| CString::new(text.into_vec()).unwrap_or_default();
        let variable = |(name, value): (OsString, OsString)| c_string(joined(&name, &value));
        Self {
            program: THIS_PROGRAM.to_owned(),
            arguments: std::env::args_os().map(c_string).collect(),
            environment: std::env::vars_os().map(variable).collect(),
            inherited: Vec::new(),
            death_signal: 0,
        }
    }

    /// Adds a variable to the child's environment, in place of one of the same name.
    ///
    /// # Panics
    /// If the name or the value holds a NUL byte.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        let entry = joined(OsStr::new(name), OsStr::new(value)).into_vec();
        let name = &entry[..=name.len()];
        self.environment.retain(|other| !other.as_bytes().starts_with(name));
        self.environment.push(CString::new(entry).expect("a variable holds no NUL byte"));
        self
    }

    /// Lets the child have this descriptor, under the same number. It gets no others but the
    /// standard streams.
    #[must_use]
    pub fn inherit(mut self, fd: BorrowedFd<'fd>) -> Self {
        self.inherited.push(fd);
        self
    }

    /// Has the kernel send the child this signal when the *thread* that starts it ends.
    ///
    /// The child must compare its parent's pid afterwards: the signal is not sent if the thread
    /// ended before the child was there.
    #[must_use]
    pub fn death_signal(mut self, signal: i32) -> Self {
        self.death_signal = signal;
        self
    }

    /// Starts it, and returns when the program is loaded.
    ///
    /// The child starts with no signal blocked and without the handlers of this process; signals
    /// that this process ignores are ignored there too.
    ///
    /// # Errors
    /// The system's: the program cannot be run, processes or memory have run out.
    pub fn start(&self) -> io::Result<Started> {
        let arguments = pointers(&self.arguments);
        let environment = pointers(&self.environment);
        let inherited: Vec<RawFd> = self.inherited.iter().map(AsRawFd::as_raw_fd).collect();
        let plan = Plan {
            program: self.program.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            inherited: &inherited,
            highest_fd: highest_fd(),
            death_signal: self.death_signal,
            errno: AtomicI32::new(0),
        };
        let mut stack = Vec::<u128>::with_capacity(STACK_SIZE / size_of::<u128>());
        let mut pidfd: c_int = -1;
        // No handler of this process may run in the child, on this memory.
        let mask = signals::block_all()?;
        // SAFETY: the stack is ours, aligned to 16 bytes and grows down from its end; `run` obeys
        // the rules of a child that shares our memory; CLONE_VFORK keeps this thread, and with it
        // `plan`, `stack` and `pidfd`, in place until the child has left them by exec or exit.
        let pid = unsafe {
            libc::clone(
                run,
                stack.as_mut_ptr().add(stack.capacity()).cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
                (&raw const plan).cast_mut().cast(),
                &raw mut pidfd,
            )
        };
        let clone_error = io::Error::last_os_error();
        mask.restore()?;
        if pid < 0 {
            return Err(clone_error);
        }
        // SAFETY: CLONE_PIDFD stored a new descriptor, which no other code knows.
        let pidfd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
        match plan.errno.load(Ordering::Relaxed) {
            0 => Ok(Started { pid: pid.cast_unsigned(), pidfd }),
            code => {
                pidfd.reap()?;
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }
}

/// What the child does, decided before it exists: it may neither allocate nor take a lock.
struct Plan<'a> {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    inherited: &'a [RawFd],
    highest_fd: c_int,
    death_signal: c_int,
    errno: AtomicI32,
}

/// The child, on its own stack in the parent's memory, with all signals blocked.
extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: the parent passes a plan that outlives this child. What follows are system calls,
    // each async-signal-safe, on the child's own signal table and descriptors.
    unsafe {
        let plan = &*plan.cast::<Plan<'_>>();
        drop_handlers();
        if plan.death_signal != 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, plan.death_signal);
        }
        close_on_exec_from(3, plan.highest_fd);
        for &fd in plan.inherited {
            libc::fcntl(fd, libc::F_SETFD, 0);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::execve(plan.program, plan.arguments, plan.environment);
        plan.errno.store(*libc::__errno_location(), Ordering::Relaxed);
        libc::_exit(127)
    }
}

/// Gives every signal that has a handler its default action.
///
/// # Safety
/// To be called where the table of signal actions belongs to the caller alone.
unsafe fn drop_handlers() {
    for signal in 1..=64 {
        // SAFETY: zero is a valid `sigaction` (the default action); the calls refuse numbers that
        // are no signals, and the two that the C library keeps for itself.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
                && action.sa_sigaction != libc::SIG_IGN
                && action.sa_sigaction != libc::SIG_DFL
            {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
            }
        }
    }
}

/// Marks all descriptors from `first` on to be closed by exec.
///
/// # Safety
/// To be called where the table of descriptors belongs to the caller alone.
unsafe fn close_on_exec_from(first: c_int, highest: c_int) {
    // SAFETY: the calls change flags of descriptors, and fail for numbers that are none.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return;
        }
        // Linux 5.10 has no such flag.
        for fd in first..=highest {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// The highest number that a descriptor can have by the limit on open files.
fn highest_fd() -> c_int {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(c_int::MAX, |limit| c_int::try_from(limit).unwrap_or(c_int::MAX)) - 1
}

/// The entry of an environment block.
fn joined(name: &OsStr, value: &OsStr) -> OsString {
    OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat())
}

/// An array of C strings as `execve` takes it.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::exit_status::ExitStatus;
    use std::os::fd::AsFd;

    fn shell(script: &str) -> Exec<'static> {
        let word = |text: &str| CString::new(text).unwrap();
        Exec {
            program: word("/bin/sh"),
            arguments: vec![word("sh"), word("-c"), word(script)],
            ..Exec::this_program()
        }
    }

    fn status(exec: &Exec<'_>) -> ExitStatus {
        let child = exec.start().unwrap();
        let minute = std::time::Duration::from_secs(60);
        assert!(child.pidfd.wait_readable(Some(minute)).unwrap(), "{:?} hangs", exec.arguments);
        child.pidfd.try_reap().unwrap().unwrap()
    }

    #[test]
    fn gives_variables_and_replaces_them() {
        let exec = shell("test \"$MILLPOND_A $MILLPOND_AB\" = '2 3'");
        let exec = exec.variable("MILLPOND_A", "1").variable("MILLPOND_AB", "3");
        assert_eq!(status(&exec.variable("MILLPOND_A", "2")), ExitStatus::Exited(0));
    }

    #[test]
    fn only_the_named_descriptor_is_inherited() {
        let (reader, writer) = io::pipe().unwrap();
        // A descriptor that the program has left open for all children to inherit.
        rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).unwrap();
        let (mine, others) = (reader.as_raw_fd(), writer.as_raw_fd());
        let script = format!("test -e /proc/$$/fd/{mine} && ! test -e /proc/$$/fd/{others}");
        assert_eq!(status(&shell(&script).inherit(reader.as_fd())), ExitStatus::Exited(0));
        let flags = rustix::io::fcntl_getfd(&reader).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "the parent's flag has changed");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let exec = Exec { program: c"/nowhere/at/all".to_owned(), ..Exec::this_program() };
        assert_eq!(exec.start().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_signal_is_blocked_in_the_child() {
        let mask = signals::block_all().unwrap();
        let ended = status(&shell("kill -TERM $$; exit 0"));
        mask.restore().unwrap();
        assert_eq!(ended.signal(), Some(libc::SIGTERM));
    }
}
