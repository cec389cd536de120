//! Pools that grow, shrink and are resized, and in which only so many tasks may wait.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::time::Duration;

use millpond::sync::Barrier;
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

millpond::init_before_main!();

fn meet(barrier: Barrier) -> u32 {
    barrier.wait().unwrap();
    std::process::id()
}

fn meet_all(pool: &Pool, count: usize) {
    let barrier = Barrier::new(u32::try_from(count).unwrap()).unwrap();
    let results: Vec<_> = (0..count).map(|_| pool.spawn(meet, barrier.clone())).collect();
    let mut pids: Vec<_> = results.into_iter().map(|job| job.join().unwrap()).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), count);
}

fn await_workers(pool: &Pool, count: usize) {
    while pool.worker_pids().len() != count || pool.size().workers != count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pool_grows_from_nothing_and_shrinks_to_nothing() {
    let _watchdog = Watchdog::start();
    let timeout = Duration::from_millis(20);
    let pool = Pool::builder().workers_between(0, 4).idle_timeout(timeout).build().unwrap();
    assert!(pool.worker_pids().is_empty());
    assert_eq!(pool.workers(), 4);
    for _ in 0..2 {
        meet_all(&pool, 4);
        await_workers(&pool, 0);
    }
    assert_eq!(pool.size().left, 8);
}

#[test]
fn a_pool_is_resized_and_nothing_is_lost() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let result = pool.spawn_map(|n: u64| n + 1, 0..20_000);
    for count in [8, 1, 0, 3] {
        pool.resize(count).unwrap();
        assert_eq!(pool.workers(), count);
    }
    assert_eq!(result.join().unwrap(), (1..=20_000).collect::<Vec<u64>>());
    await_workers(&pool, 3);
    pool.resize(0).unwrap();
    let waiting = pool.spawn_map(|n: u64| n, 0..3);
    pool.close();
    pool.join().unwrap();
    assert_eq!(waiting.join().unwrap(), [0, 1, 2]);
    assert_eq!(pool.resize(1).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn calls_wait_for_room() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).max_pending(3).build().unwrap();
    assert_eq!(pool.map(|n: u64| n, 0..5000).unwrap().len(), 5000);
    assert_eq!(pool.chunk_size(1).map(|n: u64| n, 0..500).unwrap().len(), 500);
    assert_eq!(pool.map_iter(|n: u64| n, 0..500).count(), 500);
    let results: Vec<_> = (0..200).map(|n: u64| pool.spawn(|n: u64| n, n)).collect();
    assert_eq!(results.into_iter().map(|job| job.join().unwrap()).sum::<u64>(), 19_900);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let pool = Pool::new(1).unwrap();
    let backwards = pool.resize_between(3, 1).unwrap_err();
    assert_eq!(backwards.kind(), ErrorKind::InvalidInput);
    assert_eq!(pool.size().bounds.most, 1);
    assert!(Pool::builder().workers_between(3, 5).workers(2).build().is_ok());
    for builder in
        [Pool::builder().workers_between(3, 1), Pool::builder().workers(1).max_pending(0)]
    {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn too_many_workers_are_refused() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.resize(1 << 30).unwrap_err().kind(), ErrorKind::InvalidInput);
    let refused = Pool::builder().workers_between(0, 0).build();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}
