//! Which tasks come first, and how many may wait.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::options::TaskOptions;
use millpond_core::pool::task::JobId;
use millpond_core::pool::{Config, Pool, Waited};

use crate::sizes::fresh_path;
use crate::support::{Op, close_and_join, configured, outcomes, pool, submit, submit_as};

fn submit_at(pool: &Pool, priority: i32, tasks: &[(Op, &[u8])]) -> JobId {
    let options = TaskOptions { priority, ..TaskOptions::DEFAULT };
    submit_as(pool, &JobSpec { function: b"echo", label: "echo", fail_fast: false, options }, tasks)
}

fn unfinished(pool: &Pool, job: JobId) -> u64 {
    pool.progress(job).expect("ours").expect("it is there").unfinished
}

pub(crate) fn urgent_tasks_pass_those_that_a_worker_has_not_begun() {
    for workers in [1, 2] {
        let pool = pool(workers);
        let (first, second) = (fresh_path(), fresh_path());
        let hold = |path: &std::path::PathBuf| path.as_os_str().as_bytes().to_vec();
        let (begun, next) = (hold(&first), hold(&second));
        let held = submit(&pool, &vec![(Op::Hold, &begun[..]); workers]);
        // In the rings behind those, and pending.
        let low = submit_at(&pool, 0, &[(Op::Hold, &next[..]); 50]);
        let urgent = submit_at(&pool, 2, &[(Op::Echo, &b"u"[..]); 9]);
        let less = submit_at(&pool, 1, &[(Op::Echo, &b"l"[..]); 9]);
        fs::write(&first, b"").expect("a file");
        assert!(outcomes(&pool, urgent).iter().all(Result::is_ok));
        assert!(outcomes(&pool, less).iter().all(Result::is_ok));
        assert_eq!(unfinished(&pool, low), 50);
        fs::write(&second, b"").expect("a file");
        assert!(outcomes(&pool, low).iter().all(Result::is_ok));
        assert!(outcomes(&pool, held).iter().all(Result::is_ok));
        let levels = pool.levels().expect("ours");
        let finished: Vec<_> = levels.iter().map(|(p, level)| (*p, level.finished)).collect();
        assert_eq!(finished, [(1, 9), (2, 9)], "the others came before there were priorities");
        assert!(levels.iter().all(|(_, level)| level.waiting == 0));
        close_and_join(&pool);
        for path in [first, second] {
            fs::remove_file(path).expect("the file");
        }
    }
}

pub(crate) fn what_has_waited_for_long_comes_first_all_the_same() {
    // A level is worth a nanosecond.
    let ageing = Some(Duration::from_nanos(1));
    let pool = configured(Config { processes: 1.into(), ageing, ..Config::default() });
    let (first, second) = (fresh_path(), fresh_path());
    let held = submit_at(&pool, 5, &[(Op::Hold, first.as_os_str().as_bytes())]);
    let low = submit_at(&pool, 0, &[(Op::Echo, &b"l"[..]); 9]);
    let urgent = submit_at(&pool, 9, &[(Op::Hold, second.as_os_str().as_bytes()); 2]);
    fs::write(&first, b"").expect("a file");
    assert!(outcomes(&pool, low).iter().all(Result::is_ok));
    assert_eq!(unfinished(&pool, urgent), 2);
    fs::write(&second, b"").expect("a file");
    assert!(outcomes(&pool, urgent).iter().all(Result::is_ok));
    assert!(outcomes(&pool, held).iter().all(Result::is_ok));
    close_and_join(&pool);
    for path in [first, second] {
        fs::remove_file(path).expect("the file");
    }
}

pub(crate) fn many_tasks_of_many_priorities_are_all_done() {
    let pool = pool(3);
    let payloads: Vec<_> = (0..3000_u32).map(u32::to_le_bytes).collect();
    let job = |(index, payload): (usize, &[u8; 4])| {
        let priority = i32::try_from(index % 7).expect("small") - 3;
        submit_at(&pool, priority, &[(Op::Echo, payload)])
    };
    let jobs: Vec<_> = payloads.iter().enumerate().map(job).collect();
    for (job, payload) in jobs.into_iter().zip(&payloads) {
        assert_eq!(outcomes(&pool, job), [Ok(payload.to_vec())]);
    }
    assert_eq!(pool.stats().expect("ours").finished, 3000);
    close_and_join(&pool);
}

pub(crate) fn no_more_tasks_wait_than_may() {
    let pool =
        configured(Config { processes: 2.into(), max_pending: Some(3), ..Config::default() });
    let path = fresh_path();
    assert_eq!(pool.reserve(9, true).expect("ours"), 0, "there is no room for all");
    assert_eq!(pool.reserve(9, false).expect("ours"), 5, "one for each worker, and three");
    assert_eq!(pool.reserve(1, false).expect("ours"), 0);
    let held = submit(&pool, &[(Op::Hold, path.as_os_str().as_bytes()); 5]);
    pool.release(5).expect("ours");
    assert_eq!(pool.reserve(1, false).expect("ours"), 0, "they are not done");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                match pool.wait_to_reserve(2).expect("ours") {
                    (Waited::Reached, granted) => return granted,
                    (_, granted) => assert_eq!(granted, 0),
                }
            }
        });
        fs::write(&path, b"").expect("a file");
        let granted = waiting.join().expect("no panic");
        assert!((1..=2).contains(&granted));
        pool.release(granted).expect("ours");
    });
    assert!(outcomes(&pool, held).iter().all(Result::is_ok));
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}

pub(crate) fn a_process_that_waits_for_room_is_woken_when_the_pool_closes() {
    let pool =
        configured(Config { processes: 1.into(), max_pending: Some(1), ..Config::default() });
    let path = fresh_path();
    let held = submit(&pool, &[(Op::Hold, path.as_os_str().as_bytes()); 2]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                if let (Waited::Reached, granted) = pool.wait_to_reserve(1).expect("ours") {
                    return granted;
                }
            }
        });
        pool.close().expect("ours");
        assert_eq!(waiting.join().expect("no panic"), 0);
    });
    fs::write(&path, b"").expect("a file");
    assert_eq!(pool.wait(held, Target::All, None).expect("ours"), Waited::Reached);
    close_and_join(&pool);
    fs::remove_file(path).expect("the file");
}
