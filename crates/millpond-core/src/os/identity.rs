//! Processes by a name that is never given away again.
//!
//! A pid alone may be reused as soon as its process is reaped. With the time at which the process
//! started it names one process for as long as the machine runs, and both together fit into one
//! word that can be swapped atomically.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::os::fork;
use crate::os::pidfd::PidFd;

/// How many low bits of [`ProcessId::raw`] are always zero, for flags of whoever stores it.
pub const SPARE_BITS: u32 = 8;
const PID_BITS: u32 = 22;
const PID_MASK: u64 = (1 << PID_BITS) - 1;

/// One process, told from every other that had or will have its pid.
///
/// ```text
/// 63            32 31  30 29        8 7      0
/// │ start (ticks) │ 0    │ pid       │ 0      │
/// ```
///
/// The kernel bounds pids by 2²², and counts a process' start in hundredths of a second since
/// boot, of which the low 32 bits are kept (they last 497 days).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(u64);

/// The calling process' identity, 0 while it is not known.
static CURRENT: AtomicU64 = AtomicU64::new(0);
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);

impl ProcessId {
    /// The calling process.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        // Relaxed: the value stands for itself.
        match CURRENT.load(Ordering::Relaxed) {
            0 => Self::find_out(),
            known => Self(known),
        }
    }

    #[cold]
    fn find_out() -> Self {
        // Registered before the identity is known to any thread, so that no child inherits it; a
        // second registration by a racing thread does no harm. Acquire and release: who sees it
        // noted has it.
        if !FORKS_ARE_SEEN.load(Ordering::Acquire) {
            fork::in_forked_child(forget);
            FORKS_ARE_SEEN.store(true, Ordering::Release);
        }
        let pid = fork::pid();
        let found = Self::new(pid, start_of(pid).unwrap_or(0));
        CURRENT.store(found.0, Ordering::Relaxed);
        found
    }

    fn new(pid: u32, start: u32) -> Self {
        Self(u64::from(start) << 32 | (u64::from(pid) & PID_MASK) << SPARE_BITS)
    }

    /// As a word whose low [`SPARE_BITS`] are zero, and which is not zero itself.
    #[must_use]
    #[inline]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The process that a word names, whatever its spare bits; `None` if it names none.
    #[must_use]
    #[inline]
    pub fn from_raw(raw: u64) -> Option<Self> {
        let named = raw & !((1 << SPARE_BITS) - 1);
        (raw >> SPARE_BITS & PID_MASK != 0).then_some(Self(named))
    }

    /// Its number.
    #[must_use]
    pub fn pid(self) -> u32 {
        // 22 bits fit.
        (self.0 >> SPARE_BITS & PID_MASK) as u32
    }

    /// Whether the process has not ended. One that waits to be reaped has; when the system has no
    /// descriptor to spare for asking, a process is taken to live as long as its pid is in use.
    #[must_use]
    pub fn is_alive(self) -> bool {
        if self == Self::current() {
            return true;
        }
        let lives = match PidFd::open(self.pid()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            // Want of descriptors, or a thread that has the number now.
            Err(_) => true,
            Ok(process) => process.is_alive().unwrap_or(true),
        };
        // Without its start (procfs could not be read, for want of descriptors perhaps) it is known
        // by its pid alone.
        let start_is_known = self.0 >> 32 != 0;
        let is_another = || start_of(self.pid()).is_some_and(|s| Self::new(self.pid(), s) != self);
        lives && !(start_is_known && is_another())
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessId({} started {})", self.pid(), self.0 >> 32)
    }
}

extern "C" fn forget() {
    // Relaxed: this thread is the only one of the child.
    CURRENT.store(0, Ordering::Relaxed);
}

/// When the process of this number was started, in ticks since boot; `None` where it is gone or
/// there is no procfs.
fn start_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let behind_name = stat.iter().rposition(|&b| b == b')')? + 1;
    let mut fields = stat[behind_name..].split(|&b| b == b' ').filter(|field| !field.is_empty());
    // starttime is field 22, and the first one here is field 3.
    let start = std::str::from_utf8(fields.nth(19)?).ok()?;
    // The low 32 bits are what is meant.
    start.parse::<u64>().ok().map(|start| start as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_alive_until_it_ends_even_if_nobody_has_reaped_it() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep");
        let id = ProcessId::new(child.id(), start_of(child.id()).expect("stat"));
        assert!(id.is_alive());
        child.kill().expect("kill");
        PidFd::open(child.id()).expect("zombie").wait_readable(None).expect("poll");
        assert!(!id.is_alive());
        child.wait().expect("reap");
        assert!(!id.is_alive());
    }

    #[test]
    fn another_process_of_the_same_number_is_another_one() {
        let me = ProcessId::current();
        let other = ProcessId::new(me.pid(), (me.raw() >> 32) as u32 + 1);
        assert!(me.is_alive());
        assert_ne!(me, other);
        assert!(!other.is_alive());
        assert!(ProcessId::new(me.pid(), 0).is_alive());
    }

    #[test]
    fn spare_bits_do_not_matter() {
        let me = ProcessId::current();
        assert_eq!(me.pid(), std::process::id());
        assert_eq!(ProcessId::from_raw(me.raw() | 0xff), Some(me));
        assert_eq!(ProcessId::from_raw(0x7f), None);
    }

    #[test]
    fn a_forked_child_is_another_process() {
        let me = ProcessId::current();
        // SAFETY: the child only computes and ends; it takes no lock that others could hold
        // beyond what reading a file of procfs needs, which is none.
        match unsafe { fork::fork() }.expect("fork") {
            fork::Forked::Child => {
                let other = CURRENT.load(Ordering::Relaxed) == 0;
                fork::exit_now(i32::from(!other));
            }
            fork::Forked::Parent(pid) => {
                let status = PidFd::open(pid).expect("child").reap().expect("status");
                assert!(status.success(), "{status}");
                assert_eq!(ProcessId::current(), me);
            }
        }
    }
}
