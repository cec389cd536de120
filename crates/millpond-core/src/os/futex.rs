//! Futexes that work between processes.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags};

use crate::os::clock::monotonic_ns;

/// Why a `wait` returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A thread woke it, or the word had changed already. Spurious returns count as this.
    Changed,
    /// The timeout ran out.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `word` holds `expected`, for at most `timeout`.
///
/// The word may lie in memory that processes share, so the private flag is not set.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
    let timeout = timeout.map(|t| Timespec {
        tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(t.subsec_nanos()),
    });
    match futex::wait(word, Flags::empty(), expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => Woken::TimedOut,
        Err(Errno::INTR) => Woken::Interrupted,
        _ => Woken::Changed,
    }
}

/// Sleeps while each of `words` holds what is expected of it, for at most `timeout`. The handler of a signal
/// that has `SA_RESTART` does not end it.
///
/// # Errors
/// The system's where it has no such wait (before Linux 5.16, or behind a filter of system calls).
pub(crate) fn wait_for_any<const N: usize>(
    words: [(&AtomicU32, u32); N],
    timeout: Duration,
) -> io::Result<Woken> {
    let waits = words.map(|(word, expected)| {
        let mut wait = Wait::new();
        wait.val = expected.into();
        wait.uaddr = WaitPtr::new(word.as_ptr().cast());
        wait.flags = WaitFlags::SIZE_U32;
        wait
    });
    let end = Duration::from_nanos(monotonic_ns()).saturating_add(timeout);
    let end = Timespec {
        tv_sec: i64::try_from(end.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(end.subsec_nanos()),
    };
    match futex::waitv(&waits, WaitvFlags::empty(), Some(&end), ClockId::Monotonic) {
        Ok(_) | Err(Errno::AGAIN) => Ok(Woken::Changed),
        Err(Errno::TIMEDOUT) => Ok(Woken::TimedOut),
        Err(Errno::INTR) => Ok(Woken::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// Wakes up to `count` sleepers on `word`; returns how many.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel reads the count as a signed number; the call fails for bad addresses only.
    let woken = futex::wake(word, Flags::empty(), count.min(i32::MAX.cast_unsigned()));
    woken.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
