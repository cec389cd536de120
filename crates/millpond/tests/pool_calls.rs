//! What a pool is asked for, and what comes of it.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::cell::Cell;
use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use millpond::sync::Event;
use millpond::{Bytes, ErrorKind, Pool, current_process, parent_process};
use watchdog::Watchdog;

millpond::init_in_tests!();

fn square(number: u64) -> u64 {
    number * number
}

fn nap(milliseconds: u64) -> u64 {
    thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

fn wait_for((number, gate): (u64, Option<Event>)) -> u64 {
    if let Some(gate) = gate {
        gate.wait();
    }
    number
}

fn pid(_: u64) -> u32 {
    std::process::id()
}

#[test]
fn map_keeps_the_order_whatever_the_chunk_size() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(3).unwrap();
    for count in [0, 1, 2, 11, 12, 13, 1000] {
        let squares: Vec<u64> = (0..count).map(square).collect();
        assert_eq!(pool.map(square, 0..count).unwrap(), squares);
        assert_eq!(pool.map_async(square, 0..count).unwrap().get().unwrap(), squares);
        // Without a known length.
        assert_eq!(pool.map(square, (0..count).filter(|_| true)).unwrap(), squares);
        for chunk in [1, 2, 7, 1000, usize::MAX] {
            let chunked = pool.chunk_size(chunk);
            assert_eq!(chunked.map(square, 0..count).unwrap(), squares);
            let lazily: Result<Vec<u64>, _> = chunked.imap(square, 0..count).collect();
            assert_eq!(lazily.unwrap(), squares);
            let unordered: Result<HashSet<u64>, _> =
                chunked.imap_unordered(square, 0..count).collect();
            assert_eq!(unordered.unwrap(), squares.iter().copied().collect());
        }
    }
}

#[test]
fn chunks_are_as_large_as_was_asked_for() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let tasks = |call: &dyn Fn()| {
        let before = pool.stats().submitted;
        call();
        pool.stats().submitted - before
    };
    assert_eq!(tasks(&|| drop(pool.map(square, 0..100).unwrap())), 8, "four for each worker");
    assert_eq!(tasks(&|| drop(pool.map(square, 0..3).unwrap())), 3);
    assert_eq!(tasks(&|| drop(pool.chunk_size(30).map(square, 0..100).unwrap())), 4);
    assert_eq!(tasks(&|| assert_eq!(pool.imap(square, 0..100).count(), 100)), 100);
    assert_eq!(tasks(&|| assert_eq!(pool.chunk_size(30).imap(square, 0..100).count(), 100)), 4);
}

#[test]
fn imap_takes_from_an_endless_input_only_what_it_needs() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for (chunk, most) in [(1, 256), (64, 256), (100, 400), (1000, 4000)] {
        let taken = Cell::new(0_usize);
        let input = || (0_u64..).inspect(|_| taken.set(taken.get() + 1));
        let mut results = pool.chunk_size(chunk).imap(square, input());
        assert_eq!(taken.get(), 0, "it is lazy");
        for at in 0..3000 {
            assert_eq!(results.next().unwrap().unwrap(), square(at as u64));
            assert!(taken.get() <= at + most, "{} after {at} by {chunk}", taken.get());
            assert!(taken.get() > at);
        }
        let before = taken.get();
        drop(results);
        assert_eq!(taken.get(), before);

        taken.set(0);
        let mut results = pool.chunk_size(chunk).imap_unordered(square, input());
        for at in 0..3000 {
            results.next().unwrap().unwrap();
            assert!(taken.get() <= at + most, "{} after {at} by {chunk}", taken.get());
        }
    }
}

#[test]
fn results_do_not_wait_for_slow_input() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let used = Cell::new(0);
    let input = (0..4_u64).inspect(|&item| {
        // Slow enough for what was taken before to be sent on.
        thread::sleep(Duration::from_millis(20));
        // The first result is there when more was finished than these calls.
        let mut calls = 0;
        while item == 1 && pool.stats().finished <= calls {
            assert_eq!(pool.apply(square, 1).unwrap(), 1);
            calls += 1;
        }
        assert!(item < 2 || used.get() > 0, "input was taken although a result was there");
    });
    let mut results = pool.imap(square, input);
    for at in 0..4 {
        assert_eq!(results.next().unwrap().unwrap(), square(at));
        used.set(used.get() + 1);
    }
    assert!(results.next().is_none());
    assert!(results.next().is_none());
}

#[test]
fn unordered_results_come_as_they_are_ready() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let gate = Event::new().unwrap();
    // The first one waits until the others have come.
    let input = (0..4_u64).map(|number| (number, (number == 0).then(|| gate.clone())));
    let mut results = pool.imap_unordered(wait_for, input);
    let mut next = || results.next().unwrap().unwrap();
    let mut others = [next(), next(), next()];
    others.sort_unstable();
    assert_eq!(others, [1, 2, 3]);
    gate.set();
    assert_eq!(next(), 0);
}

#[test]
fn an_async_result_can_be_waited_for_in_every_way() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let gate = Event::new().unwrap();
    let first = pool.apply_async(wait_for, (300, Some(gate.clone()))).unwrap();
    let second = pool.map_async(square, [2, 3]).unwrap();
    assert!(!first.ready() && !second.ready());
    assert_eq!(first.successful(), None);
    assert!(!first.wait_timeout(Duration::from_millis(1)));
    let error = first.get_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().ends_with("did not end within 1ms"), "{error}");
    assert!(error.function().unwrap().ends_with("wait_for"), "{error}");
    let error = second.get_timeout(Duration::ZERO).unwrap_err();
    assert!(error.to_string().starts_with("the map over 2 items"), "{error}");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(first.get().unwrap(), 300));
        }
        gate.set();
    });
    first.wait();
    assert!(first.ready() && first.wait_timeout(Duration::ZERO));
    assert_eq!(first.successful(), Some(true));
    assert_eq!(first.get_timeout(Duration::MAX).unwrap(), 300);
    assert_eq!(second.get().unwrap(), [4, 9]);
    assert_eq!(second.get().unwrap(), [4, 9], "again");
}

#[test]
fn bytes_travel_whatever_their_size() {
    fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }
    fn doubled(bytes: Bytes) -> Bytes {
        bytes.repeat(2).into()
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for size in [0, 1, 1000, 32 << 10, (32 << 10) + 1, 10_000_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        assert!(pool.apply(reversed, bytes.clone()).unwrap() == reversed(bytes.clone()));
        let twice = pool.apply(doubled, Bytes::new(bytes.clone())).unwrap();
        assert!(twice.into_vec() == bytes.repeat(2));
        let some = vec![bytes.clone(), Vec::new(), bytes.clone()];
        let there_and_back: Vec<_> = some.iter().cloned().map(reversed).collect();
        for chunk in [1, 2, 3] {
            let mapped = pool.chunk_size(chunk).map(reversed, some.clone()).unwrap();
            assert!(mapped == there_and_back);
        }
    }
}

#[test]
fn many_threads_use_one_pool() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    thread::scope(|scope| {
        for thread in 0..6_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..100 {
                    let number = thread * 1000 + round;
                    assert_eq!(pool.apply(square, number).unwrap(), square(number));
                    let numbers = number..number + 10;
                    let squares: Vec<u64> = numbers.clone().map(square).collect();
                    assert_eq!(pool.map(square, numbers.clone()).unwrap(), squares);
                    let lazily: Result<Vec<u64>, _> = pool.imap(square, numbers).collect();
                    assert_eq!(lazily.unwrap(), squares);
                }
            });
        }
    });
    fn crosses_threads<T: Send + Sync>(_: &T) {}
    crosses_threads(&pool);
    crosses_threads(&pool.apply_async(square, 1).unwrap());
}

#[test]
fn workers_know_who_they_are() {
    fn who(_: ()) -> (String, bool, String, u32, bool) {
        let (me, parent) = (current_process(), parent_process().unwrap());
        (me.name().into(), me.daemon(), parent.name().into(), parent.pid(), parent.is_alive())
    }
    fn own_pool(_: ()) -> (String, String) {
        let pool = Pool::new(1).unwrap();
        let (name, _, parent, ..) = pool.apply(who, ()).unwrap();
        (name, parent)
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let (main, me) = ("MainProcess".to_owned(), std::process::id());
    assert_eq!(pool.apply(who, ()).unwrap(), ("PoolWorker-1".into(), true, main, me, true));
    let (name, parent) = pool.apply(own_pool, ()).unwrap();
    assert_eq!((name.as_str(), parent.as_str()), ("PoolWorker-1:1", "PoolWorker-1"));
}

#[test]
fn workers_make_room_after_their_tasks() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().processes(2).max_tasks_per_child(3).build().unwrap();
    let pids = pool.chunk_size(1).map(pid, 0..30).unwrap();
    for pid in &pids {
        assert!(pids.iter().filter(|&other| other == pid).count() <= 3, "{pids:?}");
    }
    assert_eq!(pool.stats().crashes, 0);
}

#[test]
fn a_closed_pool_finishes_and_takes_nothing() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    assert_eq!(format!("{pool:?}"), "Pool { state: Running, processes: 2 }");
    let error = pool.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("`close()`"), "{error}");

    let later = pool.map_async(nap, [5; 20]).unwrap();
    pool.close();
    pool.close();
    assert_eq!(format!("{pool:?}"), "Pool { state: Closed, processes: 2 }");
    for error in [
        pool.apply(square, 1).unwrap_err(),
        pool.apply_async(square, 1).unwrap_err(),
        pool.map(square, 0..9).unwrap_err(),
        pool.map_async(square, 0..9).unwrap_err(),
        pool.imap(square, 0..).next().unwrap().unwrap_err(),
        pool.imap_unordered(square, 0..).next().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed);
        let message = "the pool (of 2 processes) is closed and takes nothing more";
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(pool.imap(square, 0..).count(), 1, "the error is the end");
    pool.join().unwrap();
    pool.join().unwrap();
    assert_eq!(later.get().unwrap(), [5; 20]);
    drop(pool);
    assert_eq!(later.get().unwrap(), [5; 20], "it outlives the pool");
}

#[test]
fn a_terminated_pool_ends_at_once() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let done = pool.apply_async(square, 2).unwrap();
    assert_eq!(done.get().unwrap(), 4);
    let later = pool.apply_async(nap, 3_600_000).unwrap();
    let many = pool.chunk_size(1).map_async(nap, [3_600_000; 20]).unwrap();
    let mut lazily = pool.imap(nap, [3_600_000; 3]);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Not before the input was taken, which a pool that has ended refuses.
            while pool.stats().submitted < 25 {
                thread::yield_now();
            }
            pool.terminate();
        });
        let error = lazily.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminated);
    });
    for error in [later.get().unwrap_err(), many.get().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Terminated);
        assert!(error.to_string().contains("its pool was terminated"), "{error}");
    }
    assert_eq!(lazily.count(), 2);
    assert_eq!(done.get().unwrap(), 4);
    assert_eq!(format!("{pool:?}"), "Pool { state: Terminated, processes: 2 }");
    assert_eq!(pool.apply(square, 1).unwrap_err().kind(), ErrorKind::Closed);
    pool.join().unwrap();
}

#[test]
fn an_endless_input_ends_with_its_pool() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let results = pool.imap(square, 0..).inspect(|result| {
        if matches!(result, Ok(10_000)) {
            pool.terminate();
        }
    });
    assert!(results.count() >= 101);
}

#[test]
fn numbers_that_make_no_sense_say_what_would() {
    let _watchdog = Watchdog::start();
    for (builder, hint) in [
        (Pool::builder().processes(0), "at least one process"),
        (Pool::builder().processes(1 << 40), "ulimit -n"),
        (Pool::builder().processes(usize::MAX), "ulimit -n"),
        (Pool::builder().max_tasks_per_child(0), "at least 1"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(hint), "{error}");
    }
    let pool = Pool::new(1).unwrap();
    for error in [
        pool.chunk_size(0).map(square, 0..9).unwrap_err(),
        pool.chunk_size(0).map_async(square, 0..9).unwrap_err(),
        pool.chunk_size(0).imap(square, 0..).next().unwrap().unwrap_err(),
        pool.chunk_size(0).imap_unordered(square, 0..).next().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`chunk_size`"), "{error}");
    }
    assert_eq!(Pool::builder().build().unwrap().processes(), millpond::cpu_count());
}

#[test]
fn a_traced_pool_shows_its_run() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().processes(2).trace(true).build().unwrap();
    assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
    let timeline = pool.timeline().unwrap();
    assert_eq!(timeline.spans.len(), 5);
    assert!(timeline.spans.iter().all(|span| &*span.label == "square"), "{:?}", timeline.spans);
    assert!(Pool::new(1).unwrap().timeline().is_none());
}
