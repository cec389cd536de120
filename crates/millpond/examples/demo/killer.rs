//! What goes wrong in the demo.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use millpond::Pool;
use rustix::process::{Pid, Signal, kill_process};

/// In which a worker that has just sent a result begins its next task.
const MOMENT: Duration = Duration::from_millis(2);

/// Kills a worker of a pool in the middle of a task, once.
///
/// Should the worker be between two tasks all the same, it dies without loss; then another one is
/// killed, until a task is lost.
#[derive(Debug)]
pub(crate) struct Killer {
    after: usize,
    victim: Option<u32>,
}

impl Killer {
    /// One that waits until so many files are done.
    pub(crate) fn new(after: usize) -> Self {
        Self { after, victim: None }
    }

    /// Kills a worker if it is time to and no task was lost yet; returns its pid.
    pub(crate) fn strike(&mut self, pool: &Pool, done: usize) -> Option<u32> {
        if done < self.after || pool.stats().crashes > 0 {
            return None;
        }
        let pids = pool.worker_pids();
        // Its death may not have been noticed yet.
        if self.victim.is_some_and(|victim| pids.contains(&victim)) {
            return None;
        }
        sleep(MOMENT);
        // The oldest: a replacement may not have begun to work yet.
        let busy = pids.into_iter().filter(|&pid| is_running(pid)).min()?;
        kill_process(Pid::from_raw(busy.cast_signed())?, Signal::KILL).ok()?;
        self.victim = Some(busy);
        self.victim
    }
}

/// Whether a process is using, or waiting for, a processor.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state comes behind the name, which may contain anything.
    status.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('R'))
}
