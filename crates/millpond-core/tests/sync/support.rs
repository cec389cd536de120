//! Children that die at a given crash point, and the processes that must go on all the same.

use std::time::{Duration, Instant};

use millpond_core::crash;
use millpond_core::os::fork::{Forked, exit_now, fork};
use millpond_core::os::pidfd::PidFd;
use millpond_core::shm::shared::{Shared, SharedObject};
use rustix::process::{Signal, set_parent_process_death_signal};

/// One role in which a process comes by a crash point.
pub(crate) struct Case {
    pub(crate) point: &'static str,
    pub(crate) role: &'static str,
    /// Has a process die there, and checks what the others find.
    pub(crate) visit: fn(&'static str),
}

/// The longest that a wait may last before it counts as one that never ends.
const NEVER: Duration = Duration::from_secs(30);

pub(crate) fn far() -> Option<Instant> {
    Some(Instant::now() + NEVER)
}

pub(crate) fn now() -> Option<Instant> {
    Some(Instant::now())
}

/// Ends this program, and with it the test, should it stand still.
pub(crate) fn watchdog() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(300));
        eprintln!("the test stands still");
        exit_now(1);
    });
}

pub(crate) fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < NEVER, "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn shared<T: SharedObject>() -> Shared<T> {
    Shared::zeroed().expect("memory")
}

/// A forked child, killed and reaped when dropped.
pub(crate) struct Child {
    process: PidFd,
    pid: u32,
    reaped: bool,
}

impl Child {
    /// A child that calls `run`, which says whether all is well, and ends.
    pub(crate) fn run(run: impl FnOnce() -> bool) -> Self {
        // SAFETY: the only other thread of this program sleeps, so it holds no lock.
        match unsafe { fork() }.expect("fork") {
            Forked::Child => {
                // Whatever ends this program, none of them stays behind, not even a stopped one.
                let _ = set_parent_process_death_signal(Some(Signal::KILL));
                exit_now(if run() { 0 } else { 3 })
            }
            Forked::Parent(pid) => {
                Self { process: PidFd::open(pid).expect("child"), pid, reaped: false }
            }
        }
    }

    /// A child that calls `run` and dies at `point` meanwhile; comes back when it has. Its pid.
    pub(crate) fn dies_at(point: &'static str, run: impl FnOnce()) -> u32 {
        Self::will_die_at(point, run).has_died()
    }

    /// As `dies_at`, without waiting for it.
    pub(crate) fn will_die_at(point: &'static str, run: impl FnOnce()) -> Self {
        Self::run(|| {
            crash::arm(point);
            run();
            // It never came there.
            false
        })
    }

    /// A child that calls `run` and stands still at `point` meanwhile; comes back when it does.
    pub(crate) fn stops_at(point: &'static str, run: impl FnOnce()) -> Self {
        let child = Self::run(|| {
            crash::arm_to_stop(point);
            run();
            true
        });
        until(|| child.state() == Some('T'));
        child
    }

    /// Has one that stands still go on to its end.
    pub(crate) fn goes_on(self) {
        // SIGCONT
        self.signal(18);
        self.ends_well();
    }

    /// Waits until it was killed by a signal. Its pid.
    pub(crate) fn has_died(mut self) -> u32 {
        assert!(self.process.wait_readable(Some(2 * NEVER)).expect("poll"), "it does not end");
        self.reaped = true;
        let status = self.process.reap().expect("status");
        assert_eq!(status.signal(), Some(9), "it did not come by its point: {status}");
        self.pid
    }

    /// Waits until it has ended, and all was well.
    pub(crate) fn ends_well(mut self) {
        assert!(self.process.wait_readable(Some(2 * NEVER)).expect("poll"), "it does not end");
        self.reaped = true;
        let status = self.process.reap().expect("status");
        assert!(status.success(), "{status}");
    }

    pub(crate) fn signal(&self, number: i32) {
        self.process.send_signal(number).expect("a signal");
    }

    pub(crate) fn kill(&self) {
        self.signal(9);
        self.process.wait_readable(None).expect("poll");
    }

    /// Waits until it sleeps, in all likelihood in the wait that it was made for.
    pub(crate) fn sleeps(&self) {
        until(|| {
            (0..3).all(|_| {
                std::thread::sleep(Duration::from_millis(1));
                self.state() == Some('S')
            })
        });
    }

    /// The letter that the system has for what it does.
    pub(crate) fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.process.reap();
        }
    }
}
