//! The signal by which a pool warns a worker that its task takes too long.

use std::os::fd::AsFd;

use rustix::process::{Signal, pidfd_send_signal};

/// A real-time signal, of which programs and libraries use those at the ends of the range: it is in
/// that range with every C library.
pub const WARNING_SIGNAL: i32 = 57;

/// Warns the process of a pidfd, which handles the signal.
pub(crate) fn send(pidfd: impl AsFd) {
    // SAFETY: the number is one of a signal, and none that a C library keeps for itself: those have
    // the first two or three of the range, which begins at 32.
    let signal = unsafe { Signal::from_raw_unchecked(WARNING_SIGNAL) };
    // It may be dead already.
    let _ = pidfd_send_signal(pidfd, signal);
}
