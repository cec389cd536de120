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

millpond::init_before_main!();

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
        assert_eq!(pool.spawn_map(square, 0..count).join().unwrap(), squares);
        // Without a known length.
        assert_eq!(pool.map(square, (0..count).filter(|_| true)).unwrap(), squares);
        for chunk in [1, 2, 7, 1000, usize::MAX] {
            let chunked = pool.chunk_size(chunk);
            assert_eq!(chunked.map(square, 0..count).unwrap(), squares);
            let lazily: Result<Vec<u64>, _> = chunked.map_iter(square, 0..count).collect();
            assert_eq!(lazily.unwrap(), squares);
            let unordered: Result<HashSet<u64>, _> =
                chunked.map_unordered(square, 0..count).collect();
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
    assert_eq!(tasks(&|| assert_eq!(pool.map_iter(square, 0..100).count(), 100)), 100);
    assert_eq!(tasks(&|| assert_eq!(pool.chunk_size(30).map_iter(square, 0..100).count(), 100)), 4);
}

#[test]
fn imap_takes_from_an_endless_input_only_what_it_needs() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for (chunk, most) in [(1, 256), (64, 256), (100, 400), (1000, 4000)] {
        let taken = Cell::new(0_usize);
        let input = || (0_u64..).inspect(|_| taken.set(taken.get() + 1));
        let mut results = pool.chunk_size(chunk).map_iter(square, input());
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
        let mut results = pool.chunk_size(chunk).map_unordered(square, input());
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
            assert_eq!(pool.spawn(square, 1).join().unwrap(), 1);
            calls += 1;
        }
        assert!(item < 2 || used.get() > 0, "input was taken although a result was there");
    });
    let mut results = pool.map_iter(square, input);
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
    let mut results = pool.map_unordered(wait_for, input);
    let mut next = || results.next().unwrap().unwrap();
    let mut others = [next(), next(), next()];
    others.sort_unstable();
    assert_eq!(others, [1, 2, 3]);
    gate.set();
    assert_eq!(next(), 0);
}

#[test]
fn a_job_can_be_waited_for_in_every_way() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let gate = Event::new().unwrap();
    let mut first = pool.spawn(wait_for, (300, Some(gate.clone())));
    let mut second = pool.spawn_map(square, [2, 3]);
    assert!(!first.is_finished() && !second.is_finished());
    assert!(!first.wait_timeout(Duration::from_millis(1)));
    let error = first.join_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().ends_with("did not end within 1ms"), "{error}");
    assert!(error.function().unwrap().ends_with("wait_for"), "{error}");
    let error = second.join_timeout(Duration::ZERO).unwrap_err();
    assert!(error.to_string().starts_with("the map over 2 items"), "{error}");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| first.wait());
        }
        gate.set();
    });
    assert!(first.is_finished() && first.wait_timeout(Duration::ZERO));
    assert_eq!(first.join_timeout(Duration::MAX).unwrap(), 300);
    assert_eq!(second.join().unwrap(), [4, 9]);
    // What was given is not given again.
    assert!(first.is_finished());
    let again = first.join_timeout(Duration::MAX).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput);
    assert_eq!(first.join().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_has_not_begun_can_be_cancelled() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let gate = Event::new().unwrap();
    let begun = pool.spawn(wait_for, (1, Some(gate.clone())));
    let waiting = pool.spawn_map(square, 0..10);
    assert!(waiting.cancel());
    assert!(!waiting.cancel(), "there is nothing left");
    assert_eq!(waiting.join().unwrap_err().kind(), ErrorKind::Cancelled);
    gate.set();
    assert_eq!(begun.join().unwrap(), 1);
    let done = pool.spawn(square, 3);
    done.wait();
    assert!(!done.cancel());
    assert_eq!(done.join().unwrap(), 9);
}

#[test]
fn every_item_of_a_try_map_has_a_result_of_its_own() {
    fn fragile(number: u64) -> u64 {
        match number {
            7 => panic!("seven"),
            40 => std::process::abort(),
            _ => number,
        }
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let results = pool.chunk_size(1).try_map(fragile, 0..60);
    assert_eq!(results.len(), 60);
    for (at, result) in (0..).zip(results) {
        match (at, result) {
            (7, Err(error)) => assert_eq!(error.panic_message(), Some("seven")),
            (40, Err(error)) => assert_eq!(error.signal_name(), Some("SIGABRT")),
            (at, result) => assert_eq!(result.unwrap(), at),
        }
    }
    assert_eq!(pool.try_map(square, 0..1000).len(), 1000);
    pool.for_each(|number: u64| assert!(number < 5), 0..5).unwrap();
    let error = pool.for_each(|number: u64| assert!(number < 5), 0..6).unwrap_err();
    assert_eq!((error.kind(), error.task_index()), (ErrorKind::Panicked, Some(5)));
    pool.close();
    let results = pool.try_map(square, 0..1000);
    assert_eq!(results.len(), 1000);
    assert!(results.iter().all(|r| r.as_ref().unwrap_err().kind() == ErrorKind::Closed));
}

#[test]
fn several_arguments_are_a_tuple() {
    fn volume(a: u64, b: u64, c: u64) -> u64 {
        a * b * c
    }
    fn flat((a, b): (u64, u64)) -> u64 {
        a * b
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.spawn(volume, (2, 3, 4)).join().unwrap(), 24);
    assert_eq!(pool.spawn(flat, (2, 3)).join().unwrap(), 6);
    assert_eq!(pool.spawn(|a, b| a + b, (2_u64, 3_u64)).join().unwrap(), 5);
    assert_eq!(pool.spawn(|| 7, ()).join().unwrap(), 7);
    assert_eq!(pool.map(|a: u64, b: u64| a - b, [(3, 1), (9, 4)]).unwrap(), [2, 5]);
    assert_eq!(pool.map(flat, [(3, 1), (9, 4)]).unwrap(), [3, 36]);
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
        assert!(pool.spawn(reversed, bytes.clone()).join().unwrap() == reversed(bytes.clone()));
        let twice = pool.spawn(doubled, Bytes::new(bytes.clone())).join().unwrap();
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
                    assert_eq!(pool.spawn(square, number).join().unwrap(), square(number));
                    let numbers = number..number + 10;
                    let squares: Vec<u64> = numbers.clone().map(square).collect();
                    assert_eq!(pool.map(square, numbers.clone()).unwrap(), squares);
                    let lazily: Result<Vec<u64>, _> = pool.map_iter(square, numbers).collect();
                    assert_eq!(lazily.unwrap(), squares);
                }
            });
        }
    });
    fn crosses_threads<T: Send + Sync>(_: &T) {}
    crosses_threads(&pool);
    crosses_threads(&pool.spawn(square, 1));
}

#[test]
fn workers_know_who_they_are() {
    fn who(_: ()) -> (String, bool, String, u32, bool) {
        let (me, parent) = (current_process(), parent_process().unwrap());
        (
            me.name().into(),
            me.ends_with_parent(),
            parent.name().into(),
            parent.pid(),
            parent.is_alive(),
        )
    }
    fn own_pool(_: ()) -> (String, String) {
        let pool = Pool::new(1).unwrap();
        let (name, _, parent, ..) = pool.spawn(who, ()).join().unwrap();
        (name, parent)
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let (main, me) = ("MainProcess".to_owned(), std::process::id());
    assert_eq!(pool.spawn(who, ()).join().unwrap(), ("PoolWorker-1".into(), true, main, me, true));
    let (name, parent) = pool.spawn(own_pool, ()).join().unwrap();
    assert_eq!((name.as_str(), parent.as_str()), ("PoolWorker-1:1", "PoolWorker-1"));
}

#[test]
fn workers_make_room_after_their_tasks() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).max_tasks_per_worker(3).build().unwrap();
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
    assert_eq!(format!("{pool:?}"), "Pool { state: Running, workers: 2 }");
    let error = pool.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("`close()`"), "{error}");

    let later = pool.spawn_map(nap, [5; 20]);
    pool.close();
    pool.close();
    assert_eq!(format!("{pool:?}"), "Pool { state: Closed, workers: 2 }");
    for error in [
        pool.spawn(square, 1).join().unwrap_err(),
        pool.map(square, 0..9).unwrap_err(),
        pool.spawn_map(square, 0..9).join().unwrap_err(),
        pool.map_iter(square, 0..).next().unwrap().unwrap_err(),
        pool.map_unordered(square, 0..).next().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed);
        let message = "the pool (of 2 workers) is closed and takes nothing more";
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(pool.map_iter(square, 0..).count(), 1, "the error is the end");
    pool.join().unwrap();
    pool.join().unwrap();
    drop(pool);
    assert_eq!(later.join().unwrap(), [5; 20], "it outlives the pool");
}

#[test]
fn a_terminated_pool_ends_at_once() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let done = pool.spawn(square, 2);
    done.wait();
    let later = pool.spawn(nap, 3_600_000);
    let many = pool.chunk_size(1).spawn_map(nap, [3_600_000; 20]);
    let mut lazily = pool.map_iter(nap, [3_600_000; 3]);
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
    for error in [later.join().unwrap_err(), many.join().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Terminated);
        assert!(error.to_string().contains("its pool was terminated"), "{error}");
    }
    assert_eq!(lazily.count(), 2);
    assert_eq!(done.join().unwrap(), 4);
    assert_eq!(format!("{pool:?}"), "Pool { state: Terminated, workers: 2 }");
    assert_eq!(pool.spawn(square, 1).join().unwrap_err().kind(), ErrorKind::Closed);
    pool.join().unwrap();
}

#[test]
fn an_endless_input_ends_with_its_pool() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let results = pool.map_iter(square, 0..).inspect(|result| {
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
        (Pool::builder().workers(0), "at least one worker"),
        (Pool::builder().workers(1 << 40), "ulimit -n"),
        (Pool::builder().workers(usize::MAX), "ulimit -n"),
        (Pool::builder().max_tasks_per_worker(0), "at least 1"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(hint), "{error}");
    }
    let pool = Pool::new(1).unwrap();
    for error in [
        pool.chunk_size(0).map(square, 0..9).unwrap_err(),
        pool.chunk_size(0).spawn_map(square, 0..9).join().unwrap_err(),
        pool.chunk_size(0).map_iter(square, 0..).next().unwrap().unwrap_err(),
        pool.chunk_size(0).map_unordered(square, 0..).next().unwrap().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`chunk_size`"), "{error}");
    }
    assert_eq!(Pool::builder().build().unwrap().workers(), millpond::cpu_count());
}

#[test]
fn a_traced_pool_shows_its_run() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).trace(true).build().unwrap();
    assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
    let timeline = pool.timeline().unwrap();
    assert_eq!(timeline.spans.len(), 5);
    assert!(timeline.spans.iter().all(|span| &*span.label == "square"), "{:?}", timeline.spans);
    assert!(Pool::new(1).unwrap().timeline().is_none());
}
