//! The engine's pool, driven in bytes.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::payload::{Part, Parts};
use millpond_core::pool::task::NewTask;
use millpond_core::pool::{Config, Pool, PoolError};

mod support;

use support::{
    Op, close_and_join, configured, faulty_pool, outcomes, pool, submit, submit_as, submit_with,
    wait,
};

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
        ("a_function_without_memory_fails_its_task_alone", function_without_memory),
        ("a_pool_works_while_large_arguments_are_copied", work_during_copies),
        ("a_pool_that_ends_during_copies_knows_of_the_call", end_during_copies),
        ("many_large_results_take_few_mappings", many_large_results),
        ("idle_workers_are_replaced", idle_workers_are_replaced),
        ("the_zygote_is_replaced", the_zygote_is_replaced),
        (
            "a_long_task_does_not_hold_up_those_behind_it",
            a_long_task_does_not_hold_up_those_behind_it,
        ),
        (
            "a_long_task_does_not_hold_up_those_behind_it_while_others_come",
            a_long_task_does_not_hold_up_those_behind_it_while_others_come,
        ),
        ("tasks_that_wait_for_each_other_all_run", tasks_that_wait_for_each_other_all_run),
        ("work_goes_on_while_nobody_waits", work_goes_on_while_nobody_waits),
        ("workers_make_room_after_their_quota", workers_make_room_after_their_quota),
        ("what_nobody_has_begun_can_be_cancelled", what_nobody_has_begun_can_be_cancelled),
        ("a_job_that_exists_can_be_told_of", a_job_that_exists_can_be_told_of),
        ("a_death_breaks_a_fragile_pool", a_death_breaks_a_fragile_pool),
        ("a_closed_pool_finishes_and_takes_nothing", a_closed_pool_finishes_and_takes_nothing),
        ("termination_cancels", termination_cancels),
        ("a_panic_of_the_supervisor_costs_one_pool", a_panic_of_the_supervisor_costs_one_pool),
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

/// Runs `test` while files, and so memory that is shared, may not grow beyond 64 KiB.
fn without_memory(test: impl FnOnce()) {
    let before = rustix::process::getrlimit(Resource::Fsize);
    let limited = Rlimit { current: Some(1 << 16), ..before };
    rustix::process::setrlimit(Resource::Fsize, limited).expect("below the hard limit");
    test();
    rustix::process::setrlimit(Resource::Fsize, before).expect("as before");
}

fn function_without_memory() {
    let large = vec![1; 1 << 20];
    let spec = JobSpec { function: &large, label: "large", fail_fast: false };
    let tasks: [(Op, &[u8]); 3] = [(Op::Echo, b"a"), (Op::Echo, b"b"), (Op::Echo, b"c")];
    for workers in [1, 2] {
        let pool = pool(workers);
        without_memory(|| {
            let (refused, next) = (submit_as(&pool, &spec, &tasks), submit(&pool, &tasks));
            assert_eq!(outcomes(&pool, refused), vec![Err("no memory"); 3]);
            assert_eq!(outcomes(&pool, next), [Ok(vec![b'a']), Ok(vec![b'b']), Ok(vec![b'c'])]);
        });
        let again = submit_as(&pool, &spec, &tasks);
        assert_eq!(outcomes(&pool, again), [Ok(vec![b'a']), Ok(vec![b'b']), Ok(vec![b'c'])]);
        close_and_join(&pool);
    }
}

/// Bytes that take a call of the pool to be copied.
struct Slow<'a>(&'a Pool);

impl Part for Slow<'_> {
    fn length(&self) -> usize {
        1 << 20
    }

    fn copy_to(&self, out: &mut [u8]) {
        assert_eq!(outcomes(self.0, submit(self.0, &[(Op::Echo, b"x")])), [Ok(vec![b'x'])]);
        out.fill(7);
    }
}

fn work_during_copies() {
    let pool = pool(1);
    let spec = JobSpec { function: b"echo", label: "echo", fail_fast: false };
    let parts: [&dyn Part; 1] = [&Slow(&pool)];
    let task = || [NewTask { op: 0, items: 1, payload: Parts(&parts), captured_handles: None }];
    let job = pool.submit(&spec, &mut task(), false).expect("memory");
    pool.extend(job, &mut task(), true).expect("memory");
    assert_eq!(outcomes(&pool, job), vec![Ok(vec![7; 1 << 20]); 2]);
    close_and_join(&pool);
}

/// Bytes during whose copying something happens.
struct Meanwhile<F>(F);

impl<F: Fn()> Part for Meanwhile<F> {
    fn length(&self) -> usize {
        1 << 20
    }

    fn copy_to(&self, out: &mut [u8]) {
        (self.0)();
        out.fill(7);
    }
}

fn end_during_copies() {
    let spec = JobSpec { function: b"echo", label: "echo", fail_fast: false };
    let done = vec![Ok(vec![7; 1 << 20])];
    for (ends, is) in
        [(Pool::close as fn(&Pool) -> _, done), (Pool::terminate, vec![Err("cancelled")])]
    {
        let pool = pool(1);
        let part = Meanwhile(|| ends(&pool).expect("our pool"));
        let parts: [&dyn Part; 1] = [&part];
        let mut task =
            [NewTask { op: 0, items: 1, payload: Parts(&parts), captured_handles: None }];
        let job = pool.submit(&spec, &mut task, true).expect("it was begun before");
        assert_eq!(outcomes(&pool, job), is);
        close_and_join(&pool);
        let refused = pool.submit(&spec, &mut [], true);
        assert!(matches!(refused, Err(PoolError::NotRunning)), "{refused:?}");
    }
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("/proc").lines().count()
}

fn many_large_results() {
    const RESULTS: usize = 4_000;
    let pool = pool(2);
    let payload = vec![3; 40_000];
    let before = mappings();
    let hold = |count| {
        let job = submit(&pool, &vec![(Op::Echo, payload.as_slice()); count]);
        wait(&pool, job, Target::All);
        pool.take_all(job).expect("ours")
    };
    let held = hold(RESULTS);
    assert!(mappings() < before + RESULTS / 20, "{}", mappings());
    drop(held);
    drop(hold(200));
    // Those that are kept for the next ones, of each worker, and of the arguments.
    assert!(mappings() < before + 120, "{}", mappings());
    close_and_join(&pool);
}

fn pids(pool: &Pool) -> Vec<u32> {
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

/// The name of a file, which is removed when this is dropped.
struct Note(PathBuf);

impl Note {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("millpond-note-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn name(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    fn length(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Lets the tasks go on that wait for the file.
    fn make(&self) {
        std::fs::write(&self.0, "").expect("a file");
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn a_long_task_does_not_hold_up_those_behind_it() {
    let (pool, gate) = (pool(2), Note::new());
    let mut tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"short"); 60];
    tasks[0] = (Op::Hold, gate.name());
    let job = submit(&pool, &tasks);
    for index in 1..60 {
        wait(&pool, job, Target::Index(index));
    }
    assert!(!pool.is_reached(job, Target::Index(0)).expect("ours"), "the long one runs on");
    gate.make();
    outcomes(&pool, job);
    close_and_join(&pool);
}

fn a_long_task_does_not_hold_up_those_behind_it_while_others_come() {
    let (pool, gate) = (pool(2), Note::new());
    // Short tasks, as far as the pool knows.
    outcomes(&pool, submit(&pool, &[(Op::Echo, &b"short"[..]); 100]));
    let mut tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"short"); 60];
    tasks[0] = (Op::Hold, gate.name());
    let job = submit(&pool, &tasks);
    let is_done = |index| pool.is_reached(job, Target::Index(index)).expect("ours");
    // No worker is ever without tasks.
    let mut others = std::collections::VecDeque::new();
    while !(1..60).all(is_done) {
        others.push_back(submit(&pool, &[(Op::Echo, &b"other"[..]); 200]));
        if others.len() > 3 {
            outcomes(&pool, others.pop_front().expect("a job"));
        }
    }
    assert!(!is_done(0), "the long one runs on");
    gate.make();
    others.into_iter().for_each(|other| drop(outcomes(&pool, other)));
    outcomes(&pool, job);
    close_and_join(&pool);
}

fn tasks_that_wait_for_each_other_all_run() {
    const COUNT: u8 = 24;
    let pool = pool(COUNT.into());
    for is_awaited in [true, false] {
        // Short tasks, as far as the pool knows.
        outcomes(&pool, submit(&pool, &[(Op::Echo, &b"short"[..]); 500]));
        let note = Note::new();
        let meeting = [&[COUNT], note.name()].concat();
        let jobs: Vec<_> =
            (0..COUNT / 4).map(|_| submit(&pool, &[(Op::Meet, &meeting[..]); 4])).collect();
        while !is_awaited && note.length() < COUNT.into() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for job in jobs {
            assert!(outcomes(&pool, job).iter().all(Result::is_ok));
        }
    }
    close_and_join(&pool);
}

fn work_goes_on_while_nobody_waits() {
    let (pool, note) = (pool(2), Note::new());
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Note, note.name()); 300];
    let job = submit(&pool, &tasks);
    // Nobody calls into the pool meanwhile; the workers alone would stop after what was prefetched.
    while note.length() < 300 {
        std::thread::sleep(Duration::from_millis(1));
    }
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
    let (pool, [first, others]) = (pool(1), [Note::new(), Note::new()]);
    let hold = |number| (Op::Hold, if number == 0 { first.name() } else { others.name() });
    let jobs: Vec<_> = (0..20).map(|number| submit(&pool, &[hold(number)])).collect();
    assert_eq!(pool.cancel(Some(&jobs[19..])).expect("ours"), 1);
    assert_eq!(pool.cancel(Some(&jobs[19..])).expect("ours"), 0, "it was cancelled before");
    assert_eq!(outcomes(&pool, jobs[19]), [Err("cancelled")]);
    first.make();
    assert_eq!(outcomes(&pool, jobs[0]).len(), 1);
    assert_eq!(pool.cancel(Some(&jobs[..1])).expect("ours"), 0, "it is over");
    let cancelled = pool.cancel(Some(&jobs[1..])).expect("ours");
    assert!((17..=18).contains(&cancelled), "{cancelled}: all but the one that may have begun");
    others.make();
    assert_eq!(outcomes(&pool, submit(&pool, &[(Op::Echo, b"on")])), [Ok(b"on".to_vec())]);
    close_and_join(&pool);
}

fn a_job_that_exists_can_be_told_of() {
    let (pool, gate) = (pool(1), Note::new());
    let job = submit(&pool, &[(Op::Hold, gate.name())]);
    assert!(pool.notify(job).expect("ours"));
    gate.make();
    let mut told = None;
    while told.is_none() {
        told = pool.wait_notified().expect("ours").1;
    }
    assert_eq!(told, Some(job));
    assert_eq!(pool.poll_notified().expect("ours"), None);
    assert!(pool.notify(job).expect("ours"));
    assert_eq!(pool.poll_notified().expect("ours"), Some(job), "it is over");
    let decoding = pool.begin_decoding(job, |_| true).expect("ours").expect("nobody has begun");
    assert!(pool.begin_decoding(job, |_| true).expect("ours").is_none());
    assert!(pool.notify(job).expect("ours"));
    assert_eq!(pool.poll_notified().expect("ours"), None, "its outcomes are being decoded");
    pool.end_decoding(job, decoding);
    assert_eq!(pool.poll_notified().expect("ours"), Some(job));
    assert_eq!(outcomes(&pool, job).len(), 1);
    assert!(!pool.notify(job).expect("ours"), "it is gone");
    close_and_join(&pool);
}

fn a_death_breaks_a_fragile_pool() {
    let fragile = Config { processes: 2, tasks_per_worker: Some(3), traced: false, fragile: true };
    let pool = configured(fragile);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Echo, b"x"); 30];
    assert!(outcomes(&pool, submit(&pool, &tasks)).iter().all(Result::is_ok), "ends are no deaths");
    let killed = submit(&pool, &[(Op::Die, b"")]);
    assert_eq!(outcomes(&pool, killed), [Err("crashed")]);
    let spec = JobSpec { function: b"echo", label: "echo", fail_fast: false };
    assert!(matches!(pool.submit(&spec, &mut [], true), Err(PoolError::Broken(_))));
    while pool.wait_ended(None).expect("ours") != millpond_core::pool::Waited::Reached {}
}

fn a_panic_of_the_supervisor_costs_one_pool() {
    // It is never there.
    let gate = Note::new();
    let tasks: [(Op, &[u8]); 3] = [(Op::Hold, gate.name()); 3];
    let (broken, switch) = faulty_pool(2);
    let sound = pool(2);
    let idle = pids(&sound);
    let both_work = || broken.workers().expect("ours").iter().all(|worker| worker.load > 0);
    let wait_for_both = || {
        while !both_work() {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // Both workers are set up, and both hold a task: the supervisor has no reason to look.
    let begin = Note::new();
    let job = submit(&broken, &[(Op::Hold, begin.name()), (Op::Hold, begin.name())]);
    wait_for_both();
    begin.make();
    outcomes(&broken, job);
    let job = submit(&broken, &tasks);
    wait_for_both();
    switch.store(true, Ordering::Relaxed);
    broken.terminate().expect("ours");
    assert!(outcomes(&broken, job).into_iter().all(|outcome| outcome == Err("cancelled")));
    close_and_join(&broken);
    let (next, switch) = faulty_pool(2);
    let doomed = pids(&next)[0];
    let job = submit(&next, &tasks);
    switch.store(true, Ordering::Relaxed);
    kill(doomed);
    let ends = outcomes(&next, job);
    assert!(ends.contains(&Err("cancelled")), "{ends:?}");
    close_and_join(&next);
    idle.into_iter().for_each(kill);
    let job = submit(&sound, &[(Op::Echo, b"still there")]);
    assert_eq!(outcomes(&sound, job), [Ok(b"still there".into())]);
    close_and_join(&sound);
}

fn a_closed_pool_finishes_and_takes_nothing() {
    let pool = pool(2);
    let tasks: Vec<(Op, &[u8])> = vec![(Op::Sleep, &[5]); 20];
    let job = submit(&pool, &tasks);
    pool.close().expect("ours");
    let spec = JobSpec { function: b"echo", label: "echo", fail_fast: false };
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
