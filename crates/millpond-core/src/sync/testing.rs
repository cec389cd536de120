//! What tests of primitives share: forked children, and a watchdog.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::os::fork::{Forked, exit_now, fork};
use crate::os::pidfd::PidFd;

/// A forked child of a test, killed and reaped when dropped.
pub(crate) struct Child(PidFd, u32);

impl Child {
    /// Forks a child that calls `run` and ends. It must only touch shared memory and the system:
    /// other threads of the test program may have held any lock when it was forked.
    pub(crate) fn run(run: impl FnOnce()) -> Self {
        // SAFETY: see above; what the primitives use is safe in such a child.
        match unsafe { fork() }.expect("fork") {
            Forked::Child => {
                run();
                exit_now(0);
            }
            Forked::Parent(pid) => Self(PidFd::open(pid).expect("child"), pid),
        }
    }

    /// Forks a child that calls `check`, of one thread; fails if that panics.
    pub(crate) fn check(check: impl FnOnce()) {
        Self::run_checked(check).succeed();
    }

    /// The same, which the caller waits for with [`succeed`](Self::succeed).
    pub(crate) fn run_checked(check: impl FnOnce()) -> Self {
        Self::run(|| {
            let checked = catch_unwind(AssertUnwindSafe(check));
            exit_now(i32::from(checked.is_err()));
        })
    }

    /// Waits until it has ended; fails if its check has.
    pub(crate) fn succeed(self) {
        self.0.wait_readable(None).expect("poll");
        let status = self.0.reap().expect("status");
        assert!(status.success(), "{status}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.1
    }

    /// Kills it and waits until it is dead, but does not reap it.
    pub(crate) fn kill(&self) {
        self.0.send_signal(9).expect("kill");
        self.0.wait_readable(None).expect("poll");
    }

    /// Stops it, as SIGSTOP does.
    pub(crate) fn stop(&self) {
        self.0.send_signal(libc::SIGSTOP).expect("stop");
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.is_alive().expect("poll")
    }

    /// Waits until it has ended by itself.
    pub(crate) fn join(self) {
        self.0.wait_readable(None).expect("poll");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.reap();
    }
}

/// Waits until `condition` holds; ends the test program if that takes for ever.
pub(crate) fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A deadline that is far enough away to say "never" in a test that must not hang.
pub(crate) fn far() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

/// Sleeps for ever, to be killed.
pub(crate) fn sleep_for_ever() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
