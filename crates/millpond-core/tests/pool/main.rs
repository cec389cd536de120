//! The engine's pool, driven in bytes.

use std::time::Duration;

use millpond_core::pool::job::Target;
use millpond_core::pool::{Config, PoolError};

mod support;

use support::{Op, close_and_join, configured, outcomes, pool, submit, submit_with, wait};

fn main() {
    support::init();
    support::watchdog(Duration::from_secs(120));
    support::run(&[
        ("results_come_in_order", results_come_in_order),
        ("many_small_tasks", many_small_tasks),
        ("large_payloads_travel_in_blocks", large_payloads_travel_in_blocks),
        ("results_larger_than_the_ring_all_arrive", results_larger_than_the_ring_all_arrive),
        ("a_death_costs_the_running_task_only", a_death_costs_the_running_task_only),
        ("a_crash_ends_a_job_that_fails_fast", a_crash_ends_a_job_that_fails_fast),
        ("idle_workers_are_replaced", idle_workers_are_replaced),
        ("the_zygote_is_replaced", the_zygote_is_replaced),
        (
            "a_long_task_does_not_hold_up_those_behind_it",
            a_long_task_does_not_hold_up_those_behind_it,
        ),
        ("work_goes_on_while_nobody_waits", work_goes_on_while_nobody_waits),
        ("workers_make_room_after_their_quota", workers_make_room_after_their_quota),
        ("what_nobody_has_begun_can_be_cancelled", what_nobody_has_begun_can_be_cancelled),
        ("a_job_that_exists_can_be_told_of", a_job_that_exists_can_be_told_of),
        ("a_death_breaks_a_fragile_pool", a_death_breaks_a_fragile_pool),
        ("a_closed_pool_finishes_and_takes_nothing", a_closed_pool_finishes_and_takes_nothing),
        ("termination_cancels", termination_cancels),
        ("pools_live_side_by_side", pools_live_side_by_side),
        ("a_dropped_pool_ends", a_dropped_pool_ends),
    ]);
}

fn results_come_in_order() {
    let pool = pool(2);
    let job = submit(&pool, &[(Op::Sleep, &[30]), (Op::Echo, b"two"), (Op::Echo, b"three")]);
    assert_eq!(outcomes(&pool, job), [Ok(vec![30]), Ok(b"two".into()), Ok(b"three".into())]);
    close_and_join(&pool);
}

fn many_small_tasks() {
    let pool = pool(3);
    let payloads: Vec<_> = (0..20_000_u32).map(u32::to_le_bytes).collect();
    let tasks: Vec<_> = payloads.iter().map(|p| (Op::Echo, p.as_slice())).collect();
    let results = outcomes(&pool, submit(&pool, &tasks));
    assert!(results.iter().zip(&payloads).all(|(r, p)| r.as_deref() == Ok(p)));
    assert_eq!(pool.stats().expect("ours").finished, 20_000);
    close_and_join(&pool);
}

fn large_payloads_travel_in_blocks() {
    let pool = pool(2);
    let payloads: Vec<_> = (0..40_u8).map(|n| vec![n; 3_000_000 + usize::from(n)]).collect();
    let tasks: Vec<_> = payloads.iter().map(|p| (Op::Echo, p.as_slice())).collect();
    let results = outcomes(&pool, submit(&pool, &tasks));
    assert!(results.into_iter().zip(payloads).all(|(r, p)| r == Ok(p)));
    close_and_join(&pool);
}

fn results_larger_than_the_ring_all_arrive() {
    let pool = pool(1);
    let payload = vec![9; 30_000];
    // Sixty of them are seven rings full, and nobody takes them in until all are asked for.
    let tasks = vec![(Op::Echo, payload.as_slice()); 60];
    let job = submit(&pool, &tasks);
    wait(&pool, job, Target::Index(0));
    assert!(outcomes(&pool, job).into_iter().all(|r| r.as_deref() == Ok(&payload)));
    close_and_join(&pool);
}

fn a_death_costs_the_running_task_only() {
    for op in [Op::Die, Op::Exit] {
        let pool = pool(2);
        let mut tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"fine"); 200];
        for index in [0, 50, 51, 199] {
            tasks[index].0 = op;
        }
        let results = outcomes(&pool, submit(&pool, &tasks));
        let crashed: Vec<_> = (0..200).filter(|&i| results[i] == Err("crashed")).collect();
        assert_eq!(crashed, [0, 50, 51, 199]);
        assert_eq!(results.iter().filter(|r| r.as_deref() == Ok(b"fine")).count(), 196);
        assert_eq!(pool.stats().expect("ours").crashes, 4);
        close_and_join(&pool);
    }
}

fn a_crash_ends_a_job_that_fails_fast() {
    let pool = pool(2);
    let tasks: [(Op, &[u8]); 3] = [(Op::Sleep, &[255]), (Op::Die, b"x"), (Op::Sleep, &[1])];
    let results = outcomes(&pool, submit_with(&pool, &tasks, true));
    assert_eq!(results[1], Err("crashed"));
    let after = outcomes(&pool, submit(&pool, &[(Op::Echo, b"after")]));
    assert_eq!(after, [Ok(b"after".into())]);
    close_and_join(&pool);
}

fn pids(pool: &millpond_core::pool::Pool) -> Vec<u32> {
    while pool.wait_started(None).expect("ours") != millpond_core::pool::Waited::Reached {}
    pool.workers().expect("ours").iter().filter_map(|w| w.pid).collect()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a process");
}

fn idle_workers_are_replaced() {
    let pool = pool(3);
    for _ in 0..5 {
        let before = pids(&pool);
        before.iter().for_each(|&pid| kill(pid));
        let tasks: Vec<(Op, &[u8])> = vec![(Op::Pid, b""); 100];
        for result in outcomes(&pool, submit(&pool, &tasks)) {
            let pid = result.expect("idle workers had no task to lose");
            assert!(!before.contains(&u32::from_le_bytes(pid.try_into().expect("a pid"))));
        }
    }
    close_and_join(&pool);
}

fn the_zygote_is_replaced() {
    let pool = pool(2);
    for _ in 0..5 {
        pids(&pool);
        let tasks: Vec<(Op, &[u8])> = vec![(Op::Sleep, &[20]); 6];
        let job = submit(&pool, &tasks);
        wait(&pool, job, Target::Any);
        kill(pool.zygote_pid());
        let results = outcomes(&pool, job);
        assert!(results.iter().filter(|r| r.is_err()).count() <= 2, "{results:?}");
        let after = outcomes(&pool, submit(&pool, &[(Op::Echo, b"after")]));
        assert_eq!(after, [Ok(b"after".into())]);
    }
    close_and_join(&pool);
}

fn a_long_task_does_not_hold_up_those_behind_it() {
    let pool = pool(2);
    let mut tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"short"); 60];
    tasks[0] = (Op::Sleep, &[250]);
    let job = submit(&pool, &tasks);
    for index in 1..60 {
        wait(&pool, job, Target::Index(index));
    }
    assert!(!pool.is_reached(job, Target::Index(0)).expect("ours"), "the long one runs on");
    outcomes(&pool, job);
    close_and_join(&pool);
}

fn work_goes_on_while_nobody_waits() {
    let pool = pool(2);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Sleep, &[1]); 300];
    let job = submit(&pool, &tasks);
    // Nobody calls into the pool meanwhile; the workers alone would stop after what was prefetched.
    let finished = || {
        std::fs::read_to_string("/proc/self/status").is_ok() && {
            std::thread::sleep(Duration::from_millis(600));
            true
        }
    };
    assert!(finished());
    assert!(pool.stats().expect("ours").finished > 150, "{:?}", pool.stats());
    outcomes(&pool, job);
    close_and_join(&pool);
}

fn workers_make_room_after_their_quota() {
    let pool = configured(Config {
        processes: 2,
        tasks_per_worker: Some(3),
        traced: false,
        fragile: false,
    });
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Pid, b""); 30];
    let mut count = std::collections::HashMap::new();
    for pid in outcomes(&pool, submit(&pool, &tasks)) {
        *count.entry(pid.expect("no crash")).or_insert(0) += 1;
    }
    assert!(count.values().all(|&n| n <= 3), "{count:?}");
    close_and_join(&pool);
}

fn what_nobody_has_begun_can_be_cancelled() {
    let pool = pool(1);
    let jobs: Vec<_> = (0..20).map(|_| submit(&pool, &[(Op::Sleep, &[100])])).collect();
    assert!(pool.cancel(jobs[19]).expect("ours"));
    assert!(!pool.cancel(jobs[19]).expect("ours"), "it was cancelled before");
    assert_eq!(outcomes(&pool, jobs[19]), [Err("cancelled")]);
    assert_eq!(outcomes(&pool, jobs[0]).len(), 1);
    assert!(!pool.cancel(jobs[0]).expect("ours"), "it is over");
    let cancelled = jobs[1..].iter().filter(|&&job| pool.cancel(job).expect("ours")).count();
    assert!((16..=18).contains(&cancelled), "{cancelled}: all but those that ran by then");
    assert_eq!(outcomes(&pool, submit(&pool, &[(Op::Echo, b"on")])), [Ok(b"on".to_vec())]);
    close_and_join(&pool);
}

fn a_job_that_exists_can_be_told_of() {
    let pool = pool(1);
    let job = submit(&pool, &[(Op::Sleep, &[50])]);
    assert!(pool.notify(job).expect("ours"));
    let mut told = None;
    while told.is_none() {
        told = pool.wait_notified().expect("ours").1;
    }
    assert_eq!(told, Some(job));
    assert!(!pool.notify(job).expect("ours"), "it is over");
    assert_eq!(pool.poll_notified().expect("ours"), None);
    close_and_join(&pool);
}

fn a_death_breaks_a_fragile_pool() {
    let fragile = Config { processes: 2, tasks_per_worker: Some(3), traced: false, fragile: true };
    let pool = configured(fragile);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"x"); 30];
    assert!(outcomes(&pool, submit(&pool, &tasks)).iter().all(Result::is_ok), "ends are no deaths");
    let killed = submit(&pool, &[(Op::Die, b"")]);
    assert_eq!(outcomes(&pool, killed), [Err("crashed")]);
    let spec = millpond_core::pool::job::JobSpec {
        function: b"echo",
        label: "echo",
        fail_fast: false,
        notify: false,
    };
    assert!(matches!(pool.submit(&spec, &mut [], true), Err(PoolError::Broken(_))));
    while pool.wait_ended(None).expect("ours") != millpond_core::pool::Waited::Reached {}
}

fn a_closed_pool_finishes_and_takes_nothing() {
    let pool = pool(2);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Sleep, &[5]); 20];
    let job = submit(&pool, &tasks);
    pool.close().expect("ours");
    let spec = millpond_core::pool::job::JobSpec {
        function: b"echo",
        label: "echo",
        fail_fast: false,
        notify: false,
    };
    assert!(matches!(pool.submit(&spec, &mut [], true), Err(PoolError::NotRunning)));
    assert!(outcomes(&pool, job).iter().all(Result::is_ok));
    close_and_join(&pool);
}

fn termination_cancels() {
    let pool = pool(2);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Sleep, &[200]); 50];
    let job = submit(&pool, &tasks);
    pool.terminate().expect("ours");
    assert!(outcomes(&pool, job).contains(&Err("cancelled")));
    close_and_join(&pool);
}

fn pools_live_side_by_side() {
    let pools: Vec<_> = (1..=4).map(pool).collect();
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| {
                let tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"x"); 500];
                assert!(outcomes(pool, submit(pool, &tasks)).iter().all(Result::is_ok));
            });
        }
    });
    pools.iter().for_each(close_and_join);
}

fn a_dropped_pool_ends() {
    let pool = pool(2);
    let zygote = pool.zygote_pid();
    drop(pool);
    while std::path::Path::new(&format!("/proc/{zygote}")).exists() {
        std::thread::yield_now();
    }
}
