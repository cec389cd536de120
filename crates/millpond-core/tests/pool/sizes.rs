//! Pools that grow and shrink, by themselves and when told.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond_core::pool::size::Bounds;
use millpond_core::pool::{Config, Pool, PoolError, Waited};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Op, close_and_join, configured, outcomes, pool, submit};

fn elastic(least: usize, most: usize, idle_timeout: Duration) -> Pool {
    let processes = Bounds { least, most, idle_timeout };
    configured(Config { processes, ..Config::default() })
}

/// A path that no file has.
pub(crate) fn fresh_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("millpond-size-{}-{count}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

/// Waits until the pool has so many workers and no other process.
fn await_workers(pool: &Pool, count: usize) {
    while pool.workers().expect("ours").len() != count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What `count` tasks that all wait for each other are given: the file, and its message.
fn meeting(count: u8) -> (PathBuf, Vec<u8>) {
    let path = fresh_path();
    let message = [&[count], path.as_os_str().as_bytes()].concat();
    (path, message)
}

pub(crate) fn a_pool_grows_for_tasks_that_wait_for_each_other() {
    let pool = elastic(0, 16, Duration::from_secs(3600));
    assert_eq!(pool.size().expect("ours").workers, 0);
    let (path, message) = meeting(16);
    let tasks = vec![(Op::Meet, &message[..]); 16];
    assert!(outcomes(&pool, submit(&pool, &tasks)).iter().all(Result::is_ok));
    let size = pool.size().expect("ours");
    assert_eq!((size.workers, size.wanted), (16, 16));
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}

pub(crate) fn a_pool_grows_while_nobody_waits() {
    let pool = elastic(0, 4, Duration::from_secs(3600));
    let (path, message) = meeting(4);
    submit(&pool, &[(Op::Meet, &message[..]); 4]);
    while path.metadata().map_or(0, |file| file.len()) < 4 {
        std::thread::sleep(Duration::from_millis(1));
    }
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}

pub(crate) fn idle_workers_leave_and_come_again() {
    let pool = elastic(0, 4, Duration::from_millis(20));
    for _ in 0..3 {
        let (path, message) = meeting(4);
        let tasks = vec![(Op::Meet, &message[..]); 4];
        assert!(outcomes(&pool, submit(&pool, &tasks)).iter().all(Result::is_ok));
        await_workers(&pool, 0);
        fs::remove_file(path).expect("the file");
    }
    let (size, stats) = (pool.size().expect("ours"), pool.stats().expect("ours"));
    assert_eq!((size.wanted, size.left), (0, 12));
    assert_eq!((stats.workers_started, stats.replacements, stats.crashes), (12, 0, 0));
    close_and_join(&pool);
}

pub(crate) fn the_least_number_stays() {
    let pool = elastic(2, 4, Duration::from_millis(20));
    let (path, message) = meeting(4);
    let tasks = vec![(Op::Meet, &message[..]); 4];
    assert!(outcomes(&pool, submit(&pool, &tasks)).iter().all(Result::is_ok));
    await_workers(&pool, 2);
    assert_eq!(pool.size().expect("ours").left, 2);
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}

pub(crate) fn a_pool_is_resized_under_load() {
    let pool = pool(1);
    let payloads: Vec<_> = (0..20_000_u32).map(u32::to_le_bytes).collect();
    let tasks: Vec<_> = payloads.iter().map(|p| (Op::Echo, p.as_slice())).collect();
    let job = submit(&pool, &tasks);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in [64, 1, 8, 0, 3, 64, 1].into_iter().cycle().take(21) {
                pool.resize(Bounds::from(count)).expect("it runs");
                std::thread::sleep(Duration::from_millis(3));
            }
            pool.resize(Bounds::from(1)).expect("it runs");
        });
        let results = outcomes(&pool, job);
        assert!(results.iter().zip(&payloads).all(|(r, p)| r.as_deref() == Ok(p)));
    });
    assert_eq!(pool.stats().expect("ours").finished, 20_000, "each exactly once");
    await_workers(&pool, 1);
    close_and_join(&pool);
}

pub(crate) fn tasks_wait_for_workers_that_come_later() {
    let pool = pool(2);
    pool.resize(Bounds::from(0)).expect("it runs");
    await_workers(&pool, 0);
    let job = submit(&pool, &[(Op::Echo, &b"a"[..]), (Op::Echo, b"b")]);
    assert_eq!(pool.progress(job).expect("ours").map(|p| p.unfinished), Some(2));
    pool.resize(Bounds::from(1)).expect("it runs");
    assert_eq!(outcomes(&pool, job), [Ok(b"a".into()), Ok(b"b".into())]);
    close_and_join(&pool);
}

pub(crate) fn a_closed_pool_without_workers_does_what_is_left() {
    let pool = pool(2);
    pool.resize(Bounds::from(0)).expect("it runs");
    let job = submit(&pool, &[(Op::Echo, &b"a"[..]); 3]);
    pool.close().expect("ours");
    pool.resize(Bounds::from(0)).expect("it is not over");
    assert!(outcomes(&pool, job).iter().all(Result::is_ok));
    assert_eq!(pool.wait_ended(None).expect("ours"), Waited::Reached);
    assert!(matches!(pool.resize(Bounds::from(1)), Err(PoolError::NotRunning)));
}

pub(crate) fn what_waits_behind_a_worker_that_leaves_is_done_by_another() {
    let pool = pool(2);
    let (path, message) = meeting(3);
    let held = submit(&pool, &[(Op::Meet, &message[..]); 2]);
    while path.metadata().map_or(0, |file| file.len()) < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Both are at a task, and have others behind it.
    let behind = submit(&pool, &[(Op::Echo, &b"x"[..]); 100]);
    pool.resize(Bounds::from(0)).expect("it runs");
    pool.resize(Bounds::from(1)).expect("it runs");
    assert!(outcomes(&pool, behind).iter().all(Result::is_ok));
    fs::write(&path, b"xxx").expect("a file");
    assert!(outcomes(&pool, held).iter().all(Result::is_ok), "they end what they are at");
    await_workers(&pool, 1);
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}

pub(crate) fn a_stopped_worker_and_a_dead_one_leave_too() {
    let pool = pool(3);
    assert_eq!(pool.wait_started(None).expect("ours"), Waited::Reached);
    outcomes(&pool, submit(&pool, &[(Op::Echo, &b"x"[..]); 30]));
    let pid = |worker: usize| {
        let pid = pool.workers().expect("ours")[worker].pid.expect("it was started");
        Pid::from_raw(pid.cast_signed()).expect("a pid")
    };
    let (stopped, killed) = (pid(0), pid(1));
    kill_process(stopped, Signal::STOP).expect("it lives");
    kill_process(killed, Signal::KILL).expect("it lives");
    pool.resize(Bounds::from(0)).expect("it runs");
    await_workers(&pool, 1);
    pool.resize(Bounds::from(2)).expect("it runs");
    assert!(outcomes(&pool, submit(&pool, &[(Op::Echo, &b"x"[..]); 30])).iter().all(Result::is_ok));
    await_workers(&pool, 3);
    kill_process(stopped, Signal::CONT).expect("it lives");
    await_workers(&pool, 2);
    close_and_join(&pool);
}

pub(crate) fn a_pool_is_resized_while_its_workers_start() {
    for count in [0, 1, 5] {
        let pool = pool(3);
        pool.resize(Bounds::from(count)).expect("it runs");
        let job = submit(&pool, &[(Op::Echo, &b"x"[..]); 10]);
        if count == 0 {
            pool.resize(Bounds::from(2)).expect("it runs");
        }
        assert!(outcomes(&pool, job).iter().all(Result::is_ok));
        await_workers(&pool, if count == 0 { 2 } else { count });
        close_and_join(&pool);
    }
}
