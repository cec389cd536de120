//! The family of a process: killing it with all that descends from it.
//!
//! A process is stopped before its children are listed, so that it makes no more of them meanwhile,
//! and is killed after them. So all processes go that descend from it by a chain of living parents at
//! that time. A process whose parent has ended belongs to somebody else: daemons that have detached
//! themselves stay.

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
    while let Some(parent) = family.get(at)
        && family.len() < MOST
    {
        await_stop(parent, deadline);
        let pid = parent.pid;
        if has_ended(&parent.pidfd) {
            at += 1;
            continue;
        }
        for child in children(pid) {
            // While the parent is stopped it reaps no child, so the number is the child's.
            if let Some(pidfd) = open(child)
                && parent_of(child) == Some(pid)
            {
                let child = Descendant { pid: child, pidfd };
                stop(&child);
                family.push(child);
            }
        }
        at += 1;
    }
    // The oldest last: nobody adopts what is killed before its parent.
    for member in family.iter().rev() {
        // It may be dead, or run with the rights of somebody else.
        let _ = pidfd_send_signal(&member.pidfd, Signal::KILL);
    }
}

fn stop(member: &Descendant) {
    let _ = pidfd_send_signal(&member.pidfd, Signal::STOP);
}

/// Waits until a process has stopped or ended, within reason.
fn await_stop(member: &Descendant, deadline: Instant) {
    while !has_ended(&member.pidfd)
        && !matches!(stat_of(member.pid), Some((state, _)) if "TtZX".contains(state))
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

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return children;
    };
    for thread in threads.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(listed.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children
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
