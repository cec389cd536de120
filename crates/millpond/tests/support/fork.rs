//! Forking, as C libraries and old programs do.

use millpond_core::os::pidfd::PidFd;

/// Forks; the fork runs `check` and ends. Whether it was content.
pub(crate) fn in_a_fork(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the fork has one thread. The C library has made its allocator fit for use there, and
    // what else `check` uses must be so, which is what is tested.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let content = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
            // SAFETY: it ends this process, without what the parent has registered for its own end.
            unsafe { libc::_exit(if matches!(content, Ok(true)) { 0 } else { 1 }) }
        }
        pid => {
            let fork = PidFd::open(pid.cast_unsigned()).unwrap();
            assert!(fork.wait_readable(None).unwrap());
            fork.try_reap().unwrap().unwrap().success()
        }
    }
}
