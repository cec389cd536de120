//! Which processes outlive which.
//!
//! Each test has three processes: this one, a *middle* one that it starts, and a *lower* one that
//! the middle one starts. Both report to this one over a socket, so that it can speak with the
//! lower one when the middle one is gone.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, thread};

use millpond::{Builder, JoinHandle};
use millpond_core::os::pidfd::PidFd;
use watchdog::Watchdog;

millpond::init_before_main!();

/// A socket in a directory of its own, which goes away with it.
struct Meeting {
    directory: PathBuf,
    listener: UnixListener,
}

impl Meeting {
    fn new(name: &str) -> Self {
        let name = format!("millpond-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("socket")).unwrap();
        Self { directory, listener }
    }

    fn place(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// The lower process, when it has come.
    fn lower(&self) -> Lower {
        let mut socket = BufReader::new(self.listener.accept().unwrap().0);
        let mut pid = String::new();
        socket.read_line(&mut pid).unwrap();
        let pidfd = PidFd::open(pid.trim().parse().unwrap()).unwrap();
        Lower { socket, pidfd }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

struct Lower {
    socket: BufReader<UnixStream>,
    pidfd: PidFd,
}

impl Lower {
    /// Whether it answers.
    fn answers(&mut self) -> bool {
        let mut answer = String::new();
        self.socket.get_mut().write_all(b"there?\n").is_ok()
            && self.socket.read_line(&mut answer).is_ok()
            && answer == "there?\n"
    }

    fn has_ended(&self) {
        assert!(self.pidfd.wait_readable(None).unwrap());
    }
}

/// The lower process: it answers until nobody asks any more.
fn answer(place: PathBuf) {
    let mut socket = UnixStream::connect(place).unwrap();
    writeln!(socket, "{}", std::process::id()).unwrap();
    for line in BufReader::new(socket.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return };
        writeln!(socket, "{line}").unwrap();
    }
}

fn start_lower(place: &Path, daemon: bool) -> JoinHandle<()> {
    Builder::new().end_with_parent(daemon).spawn(answer, place.to_owned()).unwrap()
}

/// The middle process, which waits for its end.
fn middle_waits(place: PathBuf, daemon: bool) {
    let _lower = start_lower(&place, daemon);
    loop {
        thread::park();
    }
}

/// The middle process, which returns while its child runs, when it is told to.
fn middle_returns(place: PathBuf, daemon: bool) {
    let mut socket = UnixStream::connect(&place).unwrap();
    writeln!(socket, "{}", std::process::id()).unwrap();
    let _lower = start_lower(&place, daemon);
    let _ = BufReader::new(socket).read_line(&mut String::new());
}

#[test]
fn a_daemon_dies_with_a_parent_that_is_killed() {
    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("killed");
    let middle = millpond::spawn(middle_waits, (meeting.place(), true)).unwrap();
    let mut lower = meeting.lower();
    assert!(lower.answers());
    middle.kill().unwrap();
    lower.has_ended();
    middle.join().unwrap_err();
}

#[test]
fn a_daemon_dies_with_a_parent_that_returns() {
    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("returns");
    let middle = millpond::spawn(middle_returns, (meeting.place(), true)).unwrap();
    let middle_asked = meeting.lower();
    let mut lower = meeting.lower();
    assert!(lower.answers());
    drop(middle_asked);
    middle.join().unwrap();
    lower.has_ended();
}

#[test]
fn another_process_goes_on_without_its_parent() {
    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("goes-on");
    let middle = millpond::spawn(middle_returns, (meeting.place(), false)).unwrap();
    let middle_asked = meeting.lower();
    let mut lower = meeting.lower();
    drop(middle_asked);
    middle.join().unwrap();
    assert!(lower.answers());
    let Lower { socket, pidfd } = lower;
    drop(socket);
    assert!(pidfd.wait_readable(None).unwrap());
}

#[test]
fn a_daemon_does_not_die_with_the_thread_that_started_it() {
    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("thread");
    let place = meeting.place();
    let starter = thread::spawn(move || {
        let thread = rustix::thread::gettid().as_raw_nonzero();
        (start_lower(&place, true), thread)
    });
    let (daemon, thread) = starter.join().unwrap();
    // `join` returns a little before the kernel's end of the thread, which is what counts.
    while fs::exists(format!("/proc/self/task/{thread}")).unwrap() {
        thread::yield_now();
    }
    let mut lower = meeting.lower();
    assert!(lower.answers());
    drop(lower);
    daemon.join().unwrap();
}

#[test]
fn a_whole_tree_of_daemons_dies_with_its_root() {
    fn root(place: PathBuf) {
        let branch =
            Builder::new().end_with_parent(true).spawn(middle_waits, (place, true)).unwrap();
        let _ = branch.join();
    }

    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("tree");
    let root = millpond::spawn(root, meeting.place()).unwrap();
    let mut leaf = meeting.lower();
    assert!(leaf.answers());
    root.kill().unwrap();
    leaf.has_ended();
    root.join().unwrap_err();
}

#[test]
fn a_child_sees_that_its_parent_has_ended() {
    fn middle(place: PathBuf) {
        millpond::spawn(watch, place).unwrap();
        loop {
            thread::park();
        }
    }
    fn watch(place: PathBuf) {
        let mut socket = UnixStream::connect(place).unwrap();
        writeln!(socket, "{}", std::process::id()).unwrap();
        let parent = millpond::parent_process().unwrap();
        for line in BufReader::new(socket.try_clone().unwrap()).lines() {
            if line.is_err() || writeln!(socket, "{}", parent.is_alive()).is_err() {
                return;
            }
        }
    }
    fn ask(lower: &mut Lower) -> String {
        let mut answer = String::new();
        lower.socket.get_mut().write_all(b"alive?\n").unwrap();
        lower.socket.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    let _watchdog = Watchdog::start();
    let meeting = Meeting::new("sees");
    let middle = millpond::spawn(middle, meeting.place()).unwrap();
    let mut lower = meeting.lower();
    assert_eq!(ask(&mut lower), "true");
    middle.kill().unwrap();
    middle.join().unwrap_err();
    assert_eq!(ask(&mut lower), "false");
    let Lower { socket, pidfd } = lower;
    drop(socket);
    assert!(pidfd.wait_readable(None).unwrap());
}
