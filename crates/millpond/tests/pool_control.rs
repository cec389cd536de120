//! Time limits, retries, priorities and the end of calls that run.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use millpond::sync::{Event, Semaphore, SharedSlice};
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

millpond::init_before_main!();

const SHORT: Duration = Duration::from_millis(50);

fn endless() -> ! {
    loop {
        thread::park();
    }
}

fn odd_ones_never_end(number: u64) -> u64 {
    if number % 2 == 1 {
        endless();
    }
    number
}

/// Notes in a file that it was begun; input with handles is not sent twice.
fn die_so_often(number: u64, deaths: u64, file: PathBuf) -> u64 {
    let mut begun = File::options().append(true).create(true).open(file).unwrap();
    begun.write_all(b".").unwrap();
    if begun.metadata().unwrap().len() <= deaths {
        std::process::abort();
    }
    number
}

#[test]
fn only_the_items_that_take_too_long_fail() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let limited = pool.with().timeout(SHORT);
    let results = limited.chunk_size(5).try_map(odd_ones_never_end, 0..6);
    for (number, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!((value, number % 2), (number, 0)),
            Err(error) => {
                assert_eq!((error.kind(), number % 2), (ErrorKind::TimedOut, 1));
                assert!(error.to_string().contains("took longer than 50ms"), "{error}");
            }
        }
    }
    let error = limited.spawn(odd_ones_never_end, 1).join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(pool.map(|n: u64| n, 0..3).unwrap(), [0, 1, 2]);
    assert_eq!(pool.stats().timeouts, 4);
}

#[test]
fn a_call_whose_worker_dies_is_made_again_but_not_for_ever() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    for (retries, deaths, begun, succeeds) in
        [(0, 1, 1, false), (1, 1, 2, true), (9, 1, 2, true), (9, 9, 2, false)]
    {
        let name = format!("millpond-{}-{retries}-{deaths}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let job = pool.with().retries(retries).spawn(die_so_often, (7, deaths, file.clone()));
        match job.join() {
            Ok(value) => assert!(succeeds && value == 7),
            Err(error) => assert_eq!((succeeds, error.kind()), (false, ErrorKind::Crashed)),
        }
        assert_eq!(std::fs::read(&file).unwrap().len(), begun);
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(pool.stats().retries, 3);
}

#[test]
fn a_call_that_takes_too_long_is_tried_again_if_that_is_asked_for() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let limited = pool.with().timeout(SHORT).retries(2).retry_delay(Duration::from_millis(1));
    for (again, retries) in [(false, 0), (true, 2)] {
        let before = pool.stats().retries;
        let error = limited.retry_timeouts(again).spawn(odd_ones_never_end, 1).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(pool.stats().retries - before, retries);
    }
}

fn meet((begun, gate): (Event, Event)) {
    begun.set();
    gate.wait();
}

fn note((place, order): (usize, SharedSlice<u64>)) {
    let turn = order.as_atomics()[0].fetch_add(1, Ordering::Relaxed);
    order.store(place, turn + 1);
}

#[test]
fn urgent_calls_pass_those_that_have_not_begun() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let (begun, gate) = (Event::new().unwrap(), Event::new().unwrap());
    let order = SharedSlice::<u64>::zeroed(4).unwrap();
    let first = pool.spawn(meet, (begun.clone(), gate.clone()));
    begun.wait();
    let jobs = [(1, 0), (2, 5), (3, 1)].map(|(place, priority)| {
        pool.with().priority(priority).spawn(note, (place, order.clone()))
    });
    gate.set();
    first.join().unwrap();
    jobs.into_iter().for_each(|job| job.join().unwrap());
    assert_eq!([1, 2, 3].map(|place| order.load(place)), [3, 1, 2]);
}

#[test]
fn a_job_is_killed_and_no_other() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let permits = Semaphore::new(0).unwrap();
    let waits =
        pool.spawn(|permits: Semaphore| permits.acquire().map(|_| 5).unwrap(), permits.clone());
    let doomed = pool.spawn_map(|_: u64| -> u64 { endless() }, 0..4);
    assert!(doomed.kill());
    assert!(!doomed.kill(), "it is over");
    assert_eq!(doomed.join().unwrap_err().kind(), ErrorKind::Cancelled);
    permits.release().unwrap();
    assert_eq!(waits.join().unwrap(), 5);
    assert_eq!(pool.map(|n: u64| n, 0..3).unwrap(), [0, 1, 2]);
}
