//! Sudden death.

use millpond_core::os::pidfd::PidFd;

/// Kills a process and waits until it is dead.
pub(crate) fn kill(pid: u32) {
    let process = PidFd::open(pid).unwrap();
    process.send_signal(libc::SIGKILL).unwrap();
    assert!(process.wait_readable(None).unwrap());
}
