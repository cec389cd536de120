//! `ProcessId`, a name of a process that no other process ever has.
//!
//! A pid alone may be reused as soon as its process is reaped, and means another process in another
//! pid namespace. With the time at which the process started and a part of its namespace's number it
//! names one process for as long as the machine runs, and all of it fits into one word that can be
//! swapped atomically. Whether the process lives, the memory says in which the word lies:
//! `shm/presence.rs`.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::os::fork;
use crate::os::pidfd::PidFd;

/// How many low bits of [`ProcessId::raw`] are always zero, for flags of the words that hold it.
pub(crate) const SPARE_BITS: u32 = 8;
const PID_BITS: u32 = 22;
const PID_MASK: u64 = (1 << PID_BITS) - 1;
/// The process could not lock its byte of all memory that it has: that the byte is free proves
/// nothing.
const ON_TRUST: u64 = 1 << 30;
/// There was no procfs: the high half is a random number.
const RANDOM: u64 = 1 << 31;
const START_BITS: u32 = 24;

/// One process, told from every other that had or will have its pid.
///
/// ```text
/// 63        56 55           32 31     30       29  8 7   0
/// │ namespace │ start (ticks) │ RANDOM│ON_TRUST│ pid │ 0 │
/// ```
///
/// The kernel bounds pids by 2²², and counts a process' start in hundredths of a second since
/// boot, of which the low 24 bits are kept (they last two days); of the number of the pid namespace
/// the low 8 bits are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(u64);

/// The calling process' identity, 0 while it is not present yet in the memory that it has.
static CURRENT: AtomicU64 = AtomicU64::new(0);
/// The same, without [`ON_TRUST`], from the moment on at which it is known.
static NAME: AtomicU64 = AtomicU64::new(0);
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);
static BEFORE_FIRST_USE: OnceLock<fn() -> bool> = OnceLock::new();

/// Has every process call `claim` before its identity is used first, a forked child too; it returns
/// whether the process is present everywhere. No fork happens meanwhile.
pub(crate) fn before_first_use(claim: fn() -> bool) {
    let _ = BEFORE_FIRST_USE.set(claim);
}

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
        let name = Self::name().0;
        let is_present = BEFORE_FIRST_USE.get().is_none_or(|claim| claim());
        let found = if is_present { name } else { name | ON_TRUST };
        // Relaxed: the value stands for itself, and what the kernel knows it says to all threads.
        // The thread that is first decides.
        match CURRENT.compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Self(found),
            Err(known) => Self(known),
        }
    }

    /// The calling process, which need not be present anywhere: not for words that others read.
    #[must_use]
    pub(crate) fn name() -> Self {
        // Relaxed: as above.
        let known = NAME.load(Ordering::Relaxed);
        if known != 0 {
            return Self(known);
        }
        // Registered before the name is known to any thread, so that no child inherits it; a
        // second registration by a racing thread does no harm. Acquire and release: a thread that
        // sees it noted has it.
        if !FORKS_ARE_SEEN.load(Ordering::Acquire) {
            fork::in_forked_child(forget);
            FORKS_ARE_SEEN.store(true, Ordering::Release);
        }
        let pid = fork::pid();
        let found = match (namespace(), start_of("self")) {
            (Some(namespace), Some(start)) => Self::new(pid, namespace, start),
            _ => Self(u64::from(random()) << 32 | RANDOM | Self::new(pid, 0, 0).0),
        };
        match NAME.compare_exchange(0, found.0, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => found,
            Err(known) => Self(known),
        }
    }

    fn new(pid: u32, namespace: u8, start: u32) -> Self {
        let start = u64::from(start) & ((1 << START_BITS) - 1);
        let tag = u64::from(namespace) << START_BITS | start;
        Self(tag << 32 | (u64::from(pid) & PID_MASK) << SPARE_BITS)
    }

    /// As a word whose low `SPARE_BITS` are zero, and which is not zero itself.
    #[must_use]
    #[inline]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The process that a word names, whatever its spare bits; `None` if it names none.
    #[must_use]
    #[inline]
    pub(crate) fn from_raw(raw: u64) -> Option<Self> {
        let named = raw & !((1 << SPARE_BITS) - 1);
        (raw >> SPARE_BITS & PID_MASK != 0).then_some(Self(named))
    }

    /// Its number, in its own pid namespace.
    #[must_use]
    pub fn pid(self) -> u32 {
        // 22 bits fit.
        (self.0 >> SPARE_BITS & PID_MASK) as u32
    }

    /// The byte of a file that it locks to show that it is there.
    pub(crate) fn byte(self) -> u64 {
        (self.0 & !ON_TRUST) >> SPARE_BITS
    }

    /// The process that shows by this byte that it is there.
    pub(crate) fn of_byte(byte: u64) -> Option<Self> {
        Self::from_raw(byte << SPARE_BITS)
    }

    /// Whether it may live though its byte is not locked.
    pub(crate) fn is_on_trust(self) -> bool {
        self.0 & ON_TRUST != 0
    }

    /// A reference to the process, by its number; `None` where that does not tell it from others, or it is
    /// gone.
    pub(crate) fn open(self) -> Option<PidFd> {
        let (known, mine) = (self.0 & !ON_TRUST, Self::name().0);
        if (known | mine) & RANDOM != 0 || known >> 56 != mine >> 56 || !shows_this_namespace() {
            return None;
        }
        let process = PidFd::open(self.pid()).ok()?;
        // In this order: the number stays the process' as long as that is not reaped.
        let start = start_of(self.pid())?;
        (Self::new(self.pid(), (mine >> 56) as u8, start).0 == known).then_some(process)
    }

    /// Whether the process has not ended, as far as its number tells. One that waits to be reaped
    /// has. A process of another namespace is taken to live; so is one of which nothing is known
    /// but that its pid is in use.
    pub(crate) fn is_alive_by_number(self) -> bool {
        let is_known = self.0 & RANDOM == 0 && Self::name().0 & RANDOM == 0;
        if is_known && !self.is_known_by_number() {
            return true;
        }
        let lives = match PidFd::open(self.pid()) {
            Ok(process) => process.is_alive().unwrap_or(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            // Want of descriptors, a container that refuses, or a thread that has the number now.
            Err(_) => is_in_use(self.pid()),
        };
        let another =
            |start| Self::new(self.pid(), (self.0 >> 56) as u8, start).0 != self.0 & !ON_TRUST;
        lives && !(is_known && shows_this_namespace() && start_of(self.pid()).is_some_and(another))
    }

    /// Whether its number is one of this process' pid namespace, and is not all that is known.
    pub(crate) fn is_known_by_number(self) -> bool {
        let me = Self::name();
        self.0 & RANDOM == 0 && me.0 & RANDOM == 0 && self.0 >> 56 == me.0 >> 56
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
    NAME.store(0, Ordering::Relaxed);
}

/// Whether a process or thread has the number.
fn is_in_use(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| {
        // Another user's process may not be signalled, but is there.
        !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
    })
}

/// The low bits of the number of this process' pid namespace; `None` where there is no procfs.
fn namespace() -> Option<u8> {
    rustix::fs::stat("/proc/self/ns/pid").ok().map(|stat| stat.st_ino as u8)
}

/// Whether the procfs that is mounted has the numbers of this process' namespace.
fn shows_this_namespace() -> bool {
    std::fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == &*fork::pid().to_string())
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // It fails for interrupts alone, and not for so few bytes.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u32::from_le_bytes(bytes)
}

/// When the process of this number, or `self`, was started, in ticks since boot; `None` where it is
/// gone or there is no procfs.
fn start_of(process: impl fmt::Display) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let behind_name = stat.iter().rposition(|&b| b == b')')? + 1;
    let mut fields = stat[behind_name..].split(|&b| b == b' ').filter(|field| !field.is_empty());
    // starttime is field 22, and the first one here is field 3.
    let start = std::str::from_utf8(fields.nth(19)?).ok()?;
    // The low bits are what is meant.
    start.parse::<u64>().ok().map(|start| start as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_alive_until_it_ends_even_if_nobody_has_reaped_it() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep");
        let start = start_of(child.id()).expect("stat");
        let id = ProcessId::new(child.id(), namespace().expect("procfs"), start);
        assert!(id.is_alive_by_number());
        child.kill().expect("kill");
        PidFd::open(child.id()).expect("zombie").wait_readable(None).expect("poll");
        assert!(!id.is_alive_by_number());
        child.wait().expect("reap");
        assert!(!id.is_alive_by_number());
    }

    #[test]
    fn another_process_of_the_same_number_is_another_one() {
        let me = ProcessId::current();
        let other = ProcessId(me.raw() ^ 1 << 32);
        assert!(me.is_alive_by_number());
        assert_ne!(me, other);
        assert!(!other.is_alive_by_number());
        // One of another namespace, and one of which no more is known than its number.
        assert!(ProcessId(me.raw() ^ 1 << 56).is_alive_by_number());
        assert!(ProcessId(other.raw() | RANDOM).is_alive_by_number());
    }

    #[test]
    fn spare_bits_do_not_matter() {
        let me = ProcessId::current();
        assert_eq!(me.pid(), std::process::id());
        assert_eq!(ProcessId::from_raw(me.raw() | 0xff), Some(me));
        assert_eq!(ProcessId::from_raw(0x7f), None);
        assert_eq!(ProcessId(me.raw() | ON_TRUST).byte(), me.byte());
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
