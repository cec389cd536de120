//! The family of a process: killing it with all that descends from it.
//!
//! A signal that is pending keeps a process from beginning to fork, and one that kills it keeps a fork
//! that is under way from succeeding. So each process is told to stop, and then its children are listed.
//! If it has some, the list is right once it has stopped, which takes as long as a busy CPU lets it. All
//! are killed, and those who had no children are asked once more: one may have been made in between.
//!
//! So all processes go that descend from it by a chain of living parents. A process whose parent has
//! ended belongs to somebody else: daemons that have detached themselves stay.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long all of the stopping may take. A process that waits for a disk cannot be stopped.
const STOPPING: Duration = Duration::from_millis(20);
const LOOK_INTERVAL: Duration = Duration::from_micros(100);
/// More processes than this are not looked at.
const MOST: usize = 4096;

/// A process that has not been reaped, or whose pidfd says that it has ended.
#[derive(Debug)]
pub(crate) struct Descendant {
    /// Its number, as long as it lives.
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
}

/// Kills processes and their descendants.
pub(crate) fn kill(mut family: Vec<Descendant>) {
    // All at once: where all CPUs are busy it takes each of them some time to stop.
    family.iter().for_each(stop);
    let deadline = Instant::now() + STOPPING;
    let mut at = 0;
    let mut childless = Vec::new();
    while let Some(parent) = family.get(at)
        && family.len() < MOST
    {
        let mut found = children(parent);
        if found.is_empty() {
            childless.push(at);
        } else {
            await_stop(parent, deadline);
            found = children(parent);
        }
        found.iter().for_each(stop);
        family.extend(found);
        at += 1;
    }
    // The oldest last: nobody adopts what is killed before its parent.
    family.iter().rev().for_each(end);
    let late: Vec<_> = childless.into_iter().flat_map(|at| children(&family[at])).collect();
    if !late.is_empty() {
        kill(late);
    }
}

fn end(process: &Descendant) {
    // It may be dead, or run with the rights of somebody else.
    let _ = pidfd_send_signal(&process.pidfd, Signal::KILL);
}

fn stop(process: &Descendant) {
    let _ = pidfd_send_signal(&process.pidfd, Signal::STOP);
}

/// Waits until a process has stopped or ended, within reason.
fn await_stop(process: &Descendant, deadline: Instant) {
    while !has_ended(&process.pidfd)
        && !matches!(stat_of(process.pid), Some((state, _)) if "TtZX".contains(state))
        && Instant::now() < deadline
    {
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
}

/// The children of all threads of a process; none of one that has ended.
fn children(parent: &Descendant) -> Vec<Descendant> {
    let mut children = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", parent.pid)) else {
        return children;
    };
    for thread in threads.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in listed.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            // It may have ended since, and its number belong to somebody else.
            if let Some(pidfd) = open(pid)
                && parent_of(pid) == Some(parent.pid)
            {
                children.push(Descendant { pid, pidfd });
            }
        }
    }
    // If it has, the number was perhaps somebody else's.
    if has_ended(&parent.pidfd) { Vec::new() } else { children }
}

/// The state of a process, and its parent.
fn stat_of(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before them may hold anything, parentheses and spaces too.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_of(pid).map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_descends_from_a_process_goes_with_it() {
        let script = "sleep 1000 & (sleep 1000 & echo $!; wait) & echo $!; wait";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(shell.stdout.take().expect("a pipe")).lines();
        let pids: Vec<u32> = [0; 2]
            .map(|_| lines.next().expect("a line").expect("text").parse().expect("a pid"))
            .into();
        let descendants: Vec<_> = pids.iter().map(|&pid| open(pid).expect("it lives")).collect();
        let pidfd = open(shell.id()).expect("it lives");
        kill(vec![Descendant { pid: shell.id(), pidfd }]);
        shell.wait().expect("it has ended");
        for pidfd in &descendants {
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            assert_eq!(poll(&mut fds, None), Ok(1));
        }
    }
}
