//! A program that forks with pools alive.

#[path = "support/fork.rs"]
mod fork;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::io::{Read, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use fork::in_a_fork;
use millpond::{ErrorKind, Pool};
use millpond_core::os::exit_status::ExitStatus;
use millpond_core::os::pidfd::PidFd;
use watchdog::Watchdog;

millpond::init_before_main!();

fn square(number: u64) -> u64 {
    number * number
}

#[test]
fn a_fork_cannot_use_the_pool_of_its_parent_but_may_have_one() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let main = std::process::id();
    let done = pool.spawn(square, 3);
    done.wait();
    let mut pending = pool.spawn(square, 4);
    let mut lazily = pool.map_iter(square, 0..);
    assert_eq!(lazily.next().unwrap().unwrap(), 0);
    assert!(in_a_fork(|| {
        let (most, least) = (Duration::MAX, Duration::ZERO);
        let mut errors = vec![
            pool.spawn(square, 1).join().unwrap_err(),
            pool.spawn_map(square, [1]).join().map(drop).unwrap_err(),
            pool.map(square, 0..9).unwrap_err(),
            pool.map_iter(square, 0..).next().unwrap().unwrap_err(),
            pool.join().unwrap_err().into(),
            pending.join_timeout(most).unwrap_err(),
            pending.join_timeout(least).unwrap_err(),
        ];
        // What has arrived before may still be had, what has not is an error and the end.
        errors.extend(lazily.find_map(Result::err));
        assert_eq!(errors.len(), 8);
        assert!(lazily.next().is_none());
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::ForkedChild);
            assert!(error.to_string().contains(&format!("started by process {main}")), "{error}");
        }
        pending.wait();
        assert!(!pending.is_finished());
        assert_eq!((pool.stats().submitted, pool.worker_pids().len()), (0, 0));
        assert!(pool.timeline().is_none());
        assert_eq!(format!("{pool:?}"), "Pool { state: Foreign, workers: 2 }");
        pool.close();
        pool.terminate();

        let own = Pool::new(1).unwrap();
        assert_eq!(own.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
        drop((own, pending, done, lazily, pool));
        true
    }));
}

#[test]
fn a_fork_does_not_disturb_the_pool_of_its_parent() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let squares: Vec<u64> = (0..100).map(square).collect();
    thread::scope(|scope| {
        let users: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(pool.chunk_size(1).map(square, 0..100).unwrap(), squares);
                    }
                })
            })
            .collect();
        while !users.iter().all(|user| user.is_finished()) {
            assert!(in_a_fork(|| {
                let error = pool.spawn(square, 1).join().unwrap_err();
                let own = Pool::new(1).unwrap();
                error.kind() == ErrorKind::ForkedChild && own.spawn(square, 7).join().unwrap() == 49
            }));
        }
    });
    pool.close();
    pool.join().unwrap();
}

/// Forks, and returns in both processes: in the worker, how the child has ended.
fn fork_and_return((code, panics): (i32, bool)) -> i32 {
    // SAFETY: a worker has one thread.
    match unsafe { libc::fork() } {
        0 if panics => panic!("on purpose"),
        0 => code,
        pid => match PidFd::open(pid.cast_unsigned()).and_then(|child| child.reap()) {
            Ok(ExitStatus::Exited(status)) => status,
            ended => panic!("{ended:?}"),
        },
    }
}

fn fork_in_initializer() {
    fork_and_return((0, false));
}

#[test]
fn a_child_of_a_task_never_goes_on_as_a_worker() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).initializer(fork_in_initializer).build().unwrap();
    assert_eq!(
        pool.spawn(fork_and_return, (7, false)).join().unwrap(),
        0,
        "a value is no exit code"
    );
    assert_eq!(pool.spawn(fork_and_return, (7, true)).join().unwrap(), 101);
    let chunk = [(1, false), (2, true), (3, false)];
    assert_eq!(pool.chunk_size(3).map(fork_and_return, chunk).unwrap(), [0, 101, 0]);
    let squares: Vec<u64> = (0..100).map(square).collect();
    assert_eq!(pool.chunk_size(1).map(square, 0..100).unwrap(), squares);
    pool.close();
    pool.join().unwrap();
}

#[test]
fn executing_another_program_ends_a_pool() {
    let _watchdog = Watchdog::start();
    let (mut told, mut tell) = pipe().unwrap();
    let (wait, go) = pipe().unwrap();
    // SAFETY: as in `in_a_fork`.
    let owner = match unsafe { libc::fork() } {
        0 => {
            drop(go);
            let pool = Pool::new(2).unwrap();
            pool.map(square, 0..4).unwrap();
            // A child that is still there does not keep the pool alive.
            // SAFETY: as above; the child makes system calls only.
            if unsafe { libc::fork() } == 0 {
                drop(tell);
                let mut wait = wait;
                let _ = wait.read(&mut [0]);
                // SAFETY: it ends this process.
                unsafe { libc::_exit(0) }
            }
            // A task may be done before the pool has heard of the worker that does it.
            while pool.worker_pids().len() < 2 {
                thread::yield_now();
            }
            for pid in pool.worker_pids() {
                tell.write_all(&pid.to_le_bytes()).unwrap();
            }
            let error = Command::new("cat").stdin(wait).exec();
            panic!("{error}");
        }
        pid => PidFd::open(pid.cast_unsigned()).unwrap(),
    };
    drop((tell, wait));
    let mut pids = Vec::new();
    told.read_to_end(&mut pids).unwrap();
    assert_eq!(pids.len(), 8);
    for pid in pids.chunks(4) {
        let pid = u32::from_le_bytes(pid.try_into().unwrap());
        // One that has ended by now has no descriptor.
        if let Ok(worker) = PidFd::open(pid) {
            assert!(worker.wait_readable(None).unwrap());
        }
    }
    assert!(owner.is_alive().unwrap(), "it waits for its input");
    drop(go);
    assert!(owner.reap().unwrap().success());
}
