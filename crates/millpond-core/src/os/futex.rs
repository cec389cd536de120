//! Futexes that work between processes.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

/// Why a [`wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody woke it, or the word had changed already. Spurious returns count as this.
    Changed,
    /// The timeout ran out.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `word` holds `expected`, for at most `timeout`.
///
/// The word may lie in memory that processes share, so the private flag is not set.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
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

/// Wakes up to `count` sleepers on `word`; returns how many.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel reads the count as a signed number; the call fails for bad addresses only.
    let woken = futex::wake(word, Flags::empty(), count.min(i32::MAX.cast_unsigned()));
    woken.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
