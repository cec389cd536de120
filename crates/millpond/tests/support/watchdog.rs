//! Ends a test that hangs, and shows where.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, process};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Watches the test that holds it.
#[must_use = "it watches until it is dropped"]
pub(crate) struct Watchdog {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches the calling test. If it outlives the limit, what every thread of it and of its
    /// children waits for is printed, the children are killed, and the test program aborts.
    pub(crate) fn start() -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let (done, wait) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("watchdog: {test} hangs");
                let descendants = descendants(process::id());
                for pid in [process::id()].into_iter().chain(descendants.iter().copied()) {
                    dump(pid);
                }
                for pid in descendants {
                    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
                    let kill = rustix::process::Signal::KILL;
                    let _ = pid.map(|pid| rustix::process::kill_process(pid, kill));
                }
                process::abort();
            }
        });
        Self { done: Some(done), thread: Some(thread) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn dump(pid: u32) {
    let process = format!("/proc/{pid}");
    let command = fs::read_to_string(Path::new(&process).join("cmdline")).unwrap_or_default();
    eprintln!("process {pid}: {}", command.replace('\0', " "));
    for task in fs::read_dir(Path::new(&process).join("task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let state = read("stat").rsplit(") ").next().and_then(|rest| rest.chars().next());
        eprintln!("  thread {} ({})", task.file_name().display(), read("comm").trim());
        eprintln!("    state {}, in {}", state.unwrap_or('?'), read("wchan"));
        eprintln!("    system call {}", read("syscall").trim());
        for line in read("stack").lines() {
            eprintln!("    {line}");
        }
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children: Vec<u32> = tasks
        .flat_map(|task| {
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect();
    children.iter().copied().chain(children.iter().flat_map(|&child| descendants(child))).collect()
}
