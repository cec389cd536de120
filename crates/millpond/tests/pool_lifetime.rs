//! Pools end with their owner, however it ends.

#[path = "support/children.rs"]
mod children;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::time::Duration;
use std::{fs, thread};

use children::children;
use millpond::Pool;
use millpond_core::os::pidfd::PidFd;
use watchdog::Watchdog;

millpond::init_before_main!();

/// What a process is to do with its pool.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Habit {
    /// Leave it idle.
    Idle,
    /// Wait for a task without end.
    Busy,
    /// Return, without waiting for the task.
    Leak,
}

/// Never returns, and shows by the name of its process that it has begun.
fn work(_: u32) {
    // SAFETY: the name is a C string, which is copied.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"busy".as_ptr()) };
    loop {
        thread::park();
    }
}

fn is_busy(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "busy")
}

fn own(habit: Habit) {
    let pool = Box::leak(Box::new(Pool::new(2).unwrap()));
    match habit {
        Habit::Idle => assert_eq!(pool.spawn(|n: u32| n + 1, 1).join().unwrap(), 2),
        Habit::Busy => pool.chunk_size(1).map(work, 0..2).map(drop).unwrap(),
        Habit::Leak => {
            let results = pool.chunk_size(1).spawn_map(work, 0..2);
            let me = std::process::id();
            while descendants(me).into_iter().filter(|&pid| is_busy(pid)).count() < 2 {
                thread::sleep(Duration::from_millis(1));
            }
            // What a panic of this thread would drop is dropped by nobody.
            std::mem::forget(results);
            return;
        }
    }
    loop {
        thread::park();
    }
}

/// All processes below one.
fn descendants(pid: u32) -> Vec<u32> {
    let below = children(pid);
    below.iter().copied().chain(below.iter().flat_map(|&child| descendants(child))).collect()
}

/// The pool's processes, when all are there and busy if they are to be.
fn processes_of(owner: u32, busy: bool) -> Vec<PidFd> {
    loop {
        let below = descendants(owner);
        let workers = below.iter().filter(|&&pid| !busy || is_busy(pid)).count();
        if below.len() == 3 && workers >= 2 {
            return below.into_iter().map(|pid| PidFd::open(pid).unwrap()).collect();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn workers_die_with_a_parent_that_is_killed() {
    let _watchdog = Watchdog::start();
    for habit in [Habit::Idle, Habit::Busy] {
        let owner = millpond::spawn(own, habit).unwrap();
        let processes = processes_of(owner.pid(), habit == Habit::Busy);
        owner.kill().unwrap();
        for process in processes {
            assert!(process.wait_readable(None).unwrap());
        }
        owner.join().unwrap_err();
    }
}

#[test]
fn workers_die_with_a_parent_whose_zygote_is_stopped() {
    let _watchdog = Watchdog::start();
    let owner = millpond::spawn(own, Habit::Busy).unwrap();
    let processes = processes_of(owner.pid(), true);
    let zygote = PidFd::open(children(owner.pid())[0]).unwrap();
    zygote.send_signal(libc::SIGSTOP).unwrap();
    owner.kill().unwrap();
    owner.join().unwrap_err();
    zygote.send_signal(libc::SIGCONT).unwrap();
    for process in processes {
        assert!(process.wait_readable(None).unwrap());
    }
}

#[test]
fn a_parent_that_returns_is_not_held_up_by_its_pool() {
    let _watchdog = Watchdog::start();
    let owner = millpond::spawn(own, Habit::Leak).unwrap();
    // Its processes can be looked at until it returns, which they do not keep it from.
    let mut seen = Vec::new();
    while !owner.is_finished() {
        seen.extend(descendants(owner.pid()).into_iter().filter_map(|p| PidFd::open(p).ok()));
        thread::sleep(Duration::from_millis(1));
    }
    owner.join().unwrap();
    for process in seen {
        assert!(process.wait_readable(None).unwrap());
    }
}

#[test]
fn workers_do_not_end_with_the_thread_that_made_their_pool() {
    let _watchdog = Watchdog::start();
    let pool = thread::spawn(|| Pool::new(2).unwrap()).join().unwrap();
    let before = pool.spawn(|_: u32| std::process::id(), 0).join().unwrap();
    // It was started by a thread that has ended: if it ended with that, another one has its place.
    thread::sleep(Duration::from_millis(50));
    while pool.worker_pids().len() < 2 {
        thread::yield_now();
    }
    assert!(pool.worker_pids().contains(&before));
    assert_eq!(pool.spawn(|n: u32| n + 1, 1).join().unwrap(), 2);
}
