//! Functions that fail, and workers that die.

#[path = "support/children.rs"]
mod children;
#[path = "support/kill.rs"]
mod kill;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use children::children;
use kill::kill;
use millpond::sync::Semaphore;
use millpond::{Builder, Error, ErrorKind, Pool};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

fn square(number: u64) -> u64 {
    number * number
}

fn pid(_: ()) -> u32 {
    std::process::id()
}

/// What a worker is to do with a number.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fate {
    Return(u64),
    Panic,
    Kill,
    Exit(i32),
    Abort,
}

fn meet(fate: Fate) -> u64 {
    match fate {
        Fate::Return(number) => number,
        Fate::Panic => panic!("as it should"),
        Fate::Kill => {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
            unreachable!("nobody survives that")
        }
        Fate::Exit(code) => std::process::exit(code),
        Fate::Abort => std::process::abort(),
    }
}

/// Says that it has begun, and never ends.
fn stay(begun: Semaphore) {
    begun.release().unwrap();
    loop {
        thread::park();
    }
}

/// The pids of all workers, when all are there.
fn workers(pool: &Pool) -> Vec<u32> {
    loop {
        let pids = pool.worker_pids();
        if pids.len() == pool.workers() {
            return pids;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The child of this process whose children the pool's workers are.
fn zygote(pool: &Pool) -> u32 {
    let worker = workers(pool)[0];
    let own = children(std::process::id());
    own.into_iter().find(|&child| children(child).contains(&worker)).unwrap()
}

fn still_works(pool: &Pool) {
    let squares: Vec<u64> = (0..100).map(square).collect();
    assert_eq!(pool.map(square, 0..100).unwrap(), squares);
}

/// The beginning of a message about the task of this place, or about one of its own.
fn named(index: Option<u64>) -> String {
    index.map_or_else(|| "the task".to_owned(), |index| format!("task {index}"))
}

fn is_crash_of(error: &Error, index: impl Into<Option<u64>>, end: &str) {
    let index = index.into();
    assert_eq!(error.kind(), ErrorKind::Crashed, "{error}");
    assert_eq!(error.task_index(), index);
    assert!(error.function().unwrap().ends_with("::meet"), "{error}");
    let pid = error.pid().unwrap();
    let task = named(index);
    let start = format!("{task} (function `{}`, in worker {pid}) ", error.function().unwrap());
    assert_eq!(error.to_string(), format!("{start}{end} before the function returned"));
}

#[test]
fn a_panic_arrives_with_message_place_and_stack() {
    #[inline(never)]
    fn outer(number: u32) {
        inner(number);
        // Not the last thing it does: a call at the end may leave no frame.
        std::hint::black_box(number);
    }
    #[inline(never)]
    fn inner(number: u32) {
        assert!(number != 5, "no {number} today");
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let workers = workers(&pool);
    let errors = [
        (None, pool.spawn(outer, 5).join().unwrap_err()),
        (Some(5), pool.map(outer, 0..100).unwrap_err()),
        (Some(5), pool.chunk_size(1).map(outer, 0..100).unwrap_err()),
        (Some(5), pool.spawn_map(outer, 0..100).join().unwrap_err()),
        (Some(5), pool.chunk_size(10).map_iter(outer, 0..100).nth(5).unwrap().unwrap_err()),
    ];
    for (index, error) in errors {
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.panic_message(), Some("no 5 today"));
        assert!(error.panic_location().unwrap().starts_with(file!()), "{error}");
        assert!(workers.contains(&error.pid().unwrap()), "no worker ended");
        assert_eq!(error.task_index(), index);
        assert!(error.function().unwrap().ends_with("outer"), "{error}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("{} (function `", named(index))), "{message}");
        assert!(message.ends_with(": no 5 today"), "{message}");
        if let Some(stack) = error.backtrace() {
            assert!(stack.lines().next().unwrap().contains("inner"), "machinery on top:\n{stack}");
            let last = stack.lines().rfind(|line| line.contains(": ")).unwrap();
            assert!(last.contains("outer"), "machinery below:\n{stack}");
        }
    }
    assert_eq!(pool.stats().crashes, 0);
}

#[test]
fn every_item_of_a_chunk_has_its_own_result() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let mut fates: Vec<Fate> = (0..20).map(Fate::Return).collect();
    fates[7] = Fate::Panic;
    let results: Vec<_> = pool.chunk_size(10).map_iter(meet, fates.clone()).collect();
    for (at, result) in results.iter().enumerate() {
        match (at, result) {
            (7, Err(error)) => assert_eq!(error.kind(), ErrorKind::Panicked),
            (_, result) => assert_eq!(*result.as_ref().unwrap(), at as u64),
        }
    }
    fates[7] = Fate::Kill;
    let results: Vec<_> = pool.chunk_size(10).map_iter(meet, fates).collect();
    for (at, result) in results.iter().enumerate() {
        match (at, result) {
            (7, Err(error)) => is_crash_of(error, 7, "was killed by SIGKILL"),
            (0..10, Err(error)) => {
                assert_eq!((error.kind(), error.signal()), (ErrorKind::Crashed, Some(9)));
                let message = error.to_string();
                let end = "was killed by SIGKILL in task 7 of the same chunk";
                assert!(message.ends_with(end), "{message}");
                assert_eq!(error.task_index(), Some(at as u64));
            }
            (_, result) => assert_eq!(*result.as_ref().unwrap(), at as u64),
        }
    }
}

#[test]
fn a_dead_worker_costs_its_task_alone() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for (fate, end) in [
        (Fate::Kill, "was killed by SIGKILL"),
        (Fate::Abort, "was killed by SIGABRT"),
        (Fate::Exit(3), "exited with code 3"),
        (Fate::Exit(0), "exited with code 0"),
    ] {
        let mut fates: Vec<Fate> = (0..60).map(Fate::Return).collect();
        fates[40] = fate;
        let asked: Vec<_> = fates.iter().map(|&fate| pool.spawn(meet, fate)).collect();
        for (at, result) in asked.into_iter().enumerate() {
            match result.join() {
                Err(error) if at == 40 => is_crash_of(&error, None, end),
                result => assert_eq!(result.unwrap(), at as u64),
            }
        }
        let error = pool.chunk_size(1).map(meet, fates.clone()).unwrap_err();
        is_crash_of(&error, 40, end);
        let error = pool.map(meet, fates.clone()).unwrap_err();
        is_crash_of(&error, 40, end);
        for (at, result) in pool.map_iter(meet, fates).enumerate() {
            match result {
                Err(error) if at == 40 => is_crash_of(&error, 40, end),
                result => assert_eq!(result.unwrap(), at as u64),
            }
        }
        is_crash_of(&pool.spawn(meet, fate).join().unwrap_err(), None, end);
        still_works(&pool);
    }
}

#[test]
fn a_busy_worker_that_is_killed_from_outside_is_replaced() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let victim = pool.spawn(pid, ()).join().unwrap();
    let begun = Semaphore::new(0).unwrap();
    let stays = pool.chunk_size(1).spawn_map(stay, [begun.clone(), begun.clone()]);
    let after: Vec<_> = (0..10).map(|n| pool.spawn(square, n)).collect();
    (0..2).for_each(|_| begun.acquire().unwrap().forget());
    kill(victim);
    let error = stays.join().unwrap_err();
    assert_eq!((error.kind(), error.pid()), (ErrorKind::Crashed, Some(victim)));
    assert_eq!(error.signal_name(), Some("SIGKILL"));
    for (number, result) in (0..).zip(after) {
        assert_eq!(result.join().unwrap(), square(number));
    }
    assert!(!workers(&pool).contains(&victim));
}

fn wait_until_gone(pool: &Pool, dead: &[u32]) {
    while workers(pool).iter().any(|pid| dead.contains(pid)) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn idle_workers_are_replaced() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(3).unwrap();
    for _ in 0..5 {
        let before = workers(&pool);
        kill(before[0]);
        still_works(&pool);
        // That took one worker, which may have been there before.
        wait_until_gone(&pool, &before[..1]);
        let all = workers(&pool);
        all.iter().copied().for_each(kill);
        still_works(&pool);
        wait_until_gone(&pool, &all);
    }
    assert_eq!(pool.stats().crashes, 0);
}

#[test]
fn the_zygote_is_replaced() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for _ in 0..3 {
        let first = zygote(&pool);
        let begun = Semaphore::new(0).unwrap();
        let stays = pool.chunk_size(1).spawn_map(stay, [begun.clone(), begun.clone()]);
        (0..2).for_each(|_| begun.acquire().unwrap().forget());
        kill(first);
        let error = stays.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Crashed);
        let message = error.to_string();
        assert!(message.ends_with("ended with the process that starts the workers"), "{message}");
        still_works(&pool);
        let second = zygote(&pool);
        assert_ne!(first, second);
        kill(second);
        still_works(&pool);
    }
}

/// A value that fails on its way: its `Serialize` refuses (1), its `Deserialize` would (2).
#[derive(Debug)]
struct Delicate(u8);

impl Serialize for Delicate {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == 1 { Err(serde::ser::Error::custom("no")) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Delicate {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            2 => Err(serde::de::Error::custom("no")),
            value => Ok(Self(value)),
        }
    }
}

#[test]
fn what_would_not_arrive_fails_alone() {
    fn consume(value: Delicate) -> u8 {
        value.0
    }
    fn produce(value: u8) -> Delicate {
        Delicate(value)
    }
    fn check(error: &Error, index: impl Into<Option<u64>>, what: &str) {
        let index = index.into();
        assert_eq!((error.kind(), error.task_index()), (ErrorKind::Codec, index), "{error}");
        assert!(error.to_string().contains(what) && error.to_string().contains("Delicate"));
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for (bad, what) in [(1, "its `Serialize` refused it"), (2, "would refuse it")] {
        check(&pool.spawn(consume, Delicate(bad)).join().unwrap_err(), None, what);
        check(&pool.spawn(produce, bad).join().unwrap_err(), None, what);
        let values = || (0..50).map(|at| if at == 20 { bad } else { 7 });
        let delicate = || values().map(Delicate);
        for chunk in [1, 8, 100] {
            let chunked = pool.chunk_size(chunk);
            check(&chunked.map(consume, delicate()).unwrap_err(), 20, what);
            check(&chunked.map(produce, values()).unwrap_err(), 20, what);
            for (at, result) in chunked.map_iter(consume, delicate()).enumerate() {
                match (at, result) {
                    (20, result) => check(&result.unwrap_err(), 20, what),
                    (_, result) => assert_eq!(result.unwrap(), 7),
                }
            }
            for (at, result) in chunked.map_iter(produce, values()).enumerate() {
                match (at, result) {
                    (20, result) => check(&result.unwrap_err(), 20, what),
                    (_, result) => assert_eq!(result.unwrap().0, 7),
                }
            }
            let unordered: Vec<_> = chunked.map_unordered(consume, delicate()).collect();
            let failed: Vec<_> = unordered.iter().filter_map(|r| r.as_ref().err()).collect();
            assert_eq!((unordered.len(), failed.len()), (50, 1));
            check(failed[0], 20, what);
        }
    }
    still_works(&pool);
    assert_eq!(pool.stats().crashes, 0);
}

#[test]
fn a_panic_while_encoding_is_a_panic() {
    struct Bomb;
    impl Serialize for Bomb {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("boom")
        }
    }
    impl<'de> Deserialize<'de> for Bomb {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let error = pool.spawn(|()| Bomb, ()).join().map(drop).unwrap_err();
    assert_eq!((error.kind(), error.panic_message()), (ErrorKind::Panicked, Some("boom")));
    still_works(&pool);
}

#[test]
fn an_initializer_that_fails_breaks_the_pool() {
    fn panics() {
        panic!("no model here");
    }
    fn refuses() -> Result<(), String> {
        Err("no model here".to_owned())
    }

    let _watchdog = Watchdog::start();
    for builder in [Pool::builder().initializer(panics), Pool::builder().initializer(refuses)] {
        let pool = builder.workers(2).build().unwrap();
        // Before it is known to be broken, or afterwards.
        let errors = [
            pool.spawn(square, 1).join().unwrap_err(),
            pool.map(square, 0..100).unwrap_err(),
            pool.map_iter(square, 0..).last().unwrap().unwrap_err(),
            pool.spawn(square, 1).join().unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
            assert!(error.to_string().contains("the pool is broken: its initializer "), "{error}");
            assert!(error.to_string().ends_with(": no model here"), "{error}");
        }
        assert_eq!(format!("{pool:?}"), "Pool { state: Broken, workers: 2 }");
        pool.join().unwrap();
    }
}

#[test]
fn an_initializer_runs_in_every_worker() {
    static READY: AtomicBool = AtomicBool::new(false);
    fn prepare() -> Result<(), std::io::Error> {
        READY.store(true, Ordering::Relaxed);
        Ok(())
    }

    let _watchdog = Watchdog::start();
    let builder = Pool::builder().workers(2).initializer(prepare).max_tasks_per_worker(1);
    let pool = builder.build().unwrap();
    assert_eq!(
        pool.chunk_size(1).map(|_: u32| READY.load(Ordering::Relaxed), 0..10).unwrap(),
        [true; 10]
    );
    assert!(!READY.load(Ordering::Relaxed), "but not here");
}

#[test]
fn workers_that_end_before_they_are_ready_break_the_pool() {
    fn leaves() {
        std::process::exit(5)
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).initializer(leaves).build().unwrap();
    let error = pool.spawn(square, 1).join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert!(error.to_string().contains("exited with code 5"), "{error}");
}

#[test]
fn a_fork_inside_of_a_task_does_not_answer_for_it() {
    fn forks(_: u32) -> u32 {
        let me = std::process::id();
        // SAFETY: this process has one thread.
        if unsafe { libc::fork() } == 0 { 0 } else { me }
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let worker = workers(&pool)[0];
    assert_eq!(pool.chunk_size(1).map(forks, 0..20).unwrap(), [worker; 20]);
}

#[test]
fn a_worker_may_start_processes_of_its_own() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let nested =
        |n: u64| Builder::new().end_with_parent(true).spawn(square, n).unwrap().join().unwrap();
    assert_eq!(pool.map(nested, [3, 4]).unwrap(), [9, 16]);
}

#[test]
fn the_call_that_crashed_is_named_and_not_what_was_lost_with_it() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let crash = |number: u64| if number == 3 { std::process::abort() } else { number };
    let error = pool.chunk_size(5).map(crash, 0..5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert!(error.to_string().starts_with("task 3 "), "{error}");
}
