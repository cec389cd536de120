//! A program that forks with pools alive.

#[path = "support/fork.rs"]
mod fork;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use fork::in_a_fork;
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

millpond::init_in_tests!();

fn square(number: u64) -> u64 {
    number * number
}

#[test]
fn a_fork_cannot_use_the_pool_of_its_parent_but_may_have_one() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let main = std::process::id();
    let done = pool.apply_async(square, 3).unwrap();
    assert_eq!(done.get().unwrap(), 9);
    let pending = pool.apply_async(square, 4).unwrap();
    let mut lazily = pool.imap(square, 0..);
    assert_eq!(lazily.next().unwrap().unwrap(), 0);
    assert!(in_a_fork(|| {
        let (most, least) = (Duration::MAX, Duration::ZERO);
        let mut errors = vec![
            pool.apply(square, 1).unwrap_err(),
            pool.apply_async(square, 1).unwrap_err(),
            pool.map(square, 0..9).unwrap_err(),
            pool.imap(square, 0..).next().unwrap().unwrap_err(),
            pool.join().unwrap_err(),
            pending.get().unwrap_err(),
            pending.get_timeout(most).unwrap_err(),
            pending.get_timeout(least).unwrap_err(),
        ];
        // What has arrived before may still be had, what has not is an error and the end.
        errors.extend(lazily.find_map(Result::err));
        assert_eq!(errors.len(), 9);
        assert!(lazily.next().is_none());
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::ForkedChild);
            assert!(error.to_string().contains(&format!("started by process {main}")), "{error}");
        }
        pending.wait();
        assert!(!pending.ready());
        assert_eq!(done.get().unwrap(), 9);
        assert_eq!((pool.stats().submitted, pool.worker_pids().len()), (0, 0));
        assert!(pool.timeline().is_none());
        assert_eq!(format!("{pool:?}"), "Pool { state: Foreign, processes: 2 }");
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
                let error = pool.apply(square, 1).unwrap_err();
                let own = Pool::new(1).unwrap();
                error.kind() == ErrorKind::ForkedChild && own.apply(square, 7).unwrap() == 49
            }));
        }
    });
    pool.close();
    pool.join().unwrap();
}
