use std::os::fd::AsFd;

use super::*;
use crate::channel::link::WorkerEnd;
use crate::pool::config::Config;
use crate::pool::control_block::ControlBlock;
use crate::pool::job::{JobSpec, Target};
use crate::pool::options::TaskOptions;
use crate::pool::payload::{Part, Parts};
use crate::pool::task::{NewTask, Outcome, Reason, TaskId};
use crate::pool::wire::{Order, OrderHead};
use crate::pool::worker_handle::WorkerHandle as Worker;
use crate::pool::zygote::client::ZygoteEvent;
use crate::shm::heap::Heap;

const TIMEOUT: Duration = Duration::from_millis(10);
const KILLED: ExitStatus = ExitStatus::Signaled { signal: 9, core_dumped: false };
const TIMED: TaskOptions = TaskOptions { timeout: Some(TIMEOUT), ..TaskOptions::DEFAULT };

/// A pool of one worker, which this test plays, and no process.
struct Played {
    _control_block: ControlBlock,
    state: State,
    worker: WorkerEnd,
    job: JobId,
    number: u64,
}

impl Played {
    fn new(options: TaskOptions, tasks: usize) -> Self {
        let config = Config { processes: 1.into(), ..Config::default() };
        let control_block = ControlBlock::create().expect("control block");
        let heap = Heap::new(control_block.segment()).expect("a heap");
        let mut state = State::new(config, heap);
        let worker = Self::start(&mut state, 1);
        let spec = JobSpec { function: b"f", label: "f", fail_fast: false, options };
        let job = state.create_job(&spec);
        let argument: [&dyn Part; 1] = [&&b"x"[..]];
        for _ in 0..tasks {
            let payload = Parts(&argument[..]);
            let mut task = NewTask { op: 0, items: 1, payload, captured_handles: None };
            state.add_task(job, &mut task, None);
        }
        state.seal(job);
        state.work();
        Self { _control_block: control_block, state, worker, job, number: 1 }
    }

    fn start(state: &mut State, number: u64) -> WorkerEnd {
        let (mut worker, _) = Worker::new(number, 0, 0, 1, &state.config).expect("a link");
        (worker.ready, worker.pid) = (true, Some(u32::try_from(number).expect("a small one")));
        let link = worker.link().as_fd().try_clone_to_owned().expect("a descriptor");
        state.workers.add(worker);
        WorkerEnd::attach(link).expect("the same layout")
    }

    fn oldest(&self) -> TaskId {
        self.state.workers[0].in_flight().next().expect("a task").id
    }

    fn claim(&mut self) {
        loop {
            let frame = self.worker.tasks.front().expect("no damage").expect("a frame");
            assert_eq!(frame.claim(), Ok(true));
            if OrderHead::read(frame.body()).expect("a head").order == Order::Run {
                return;
            }
            frame.release();
        }
    }

    fn begin(&mut self) {
        self.claim();
        self.worker.hold(Some(self.oldest()), monotonic_ns());
        self.worker.tasks.front().expect("no damage").expect("the task").release();
    }

    /// Looks when so much time has passed.
    fn look_in(&mut self, length: Duration) -> Option<CrashCause> {
        let now = monotonic_ns() + nanoseconds(length);
        self.state.look_at_limits(now);
        self.state.workers[0].killed.map(|(_, why)| why)
    }

    /// The worker is dead, and another one takes its place.
    fn die(&mut self) {
        let (worker, status) = (self.number, KILLED);
        self.state.on_zygote_event(ZygoteEvent::Exited { worker, status });
        self.number += 1;
        self.worker = Self::start(&mut self.state, self.number);
        self.state.work();
    }

    fn outcome(&mut self, index: u64) -> Option<Outcome> {
        self.state.jobs.change(self.job, |job| job.take(index)).flatten()
    }

    fn cause(&mut self, index: u64) -> CrashCause {
        match self.outcome(index) {
            Some(Outcome::Crashed(crash)) => crash.cause,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_task_that_takes_too_long_fails_and_what_waited_behind_it_runs_elsewhere() {
    let mut played = Played::new(TIMED, 2);
    played.begin();
    assert_eq!(played.look_in(TIMEOUT / 2), None);
    assert_eq!(played.look_in(TIMEOUT * 2), Some(CrashCause::TimedOut));
    assert_eq!(played.state.workers[0].load(), 1, "the other was taken back");
    played.die();
    assert_eq!(played.cause(0), CrashCause::TimedOut);
    assert!(played.outcome(1).is_none() && played.state.workers[0].load() == 1);
}

#[test]
fn the_time_of_a_task_that_has_not_begun_does_not_run() {
    let mut played = Played::new(TIMED, 1);
    for _ in 0..3 {
        assert_eq!(played.look_in(TIMEOUT * 100), None);
    }
}

#[test]
fn a_worker_that_was_stopped_as_it_began_is_killed() {
    let mut played = Played::new(TIMED, 1);
    played.claim();
    assert_eq!(played.look_in(Duration::ZERO), None);
    assert_eq!(played.look_in(TIMEOUT), None, "this look is the first that sees it");
    assert_eq!(played.look_in(TIMEOUT * 3), Some(CrashCause::TimedOut));
    played.die();
    assert_eq!(played.cause(0), CrashCause::TimedOut);
}

#[test]
fn a_worker_gains_no_time_by_what_it_writes() {
    for lie in [u64::MAX, 1 << 62, 0] {
        let mut played = Played::new(TIMED, 1);
        played.begin();
        let task = played.oldest();
        played.worker.hold(Some(task), lie);
        played.look_in(TIMEOUT + Duration::from_millis(1));
        // From now on it claims to have begun later and later, and then not at all.
        played.worker.hold(Some(task), u64::MAX - 1);
        played.look_in(TIMEOUT + Duration::from_millis(2));
        played.worker.hold(None, 0);
        assert_eq!(played.look_in(TIMEOUT * 5), Some(CrashCause::TimedOut), "{lie}");
        played.die();
        assert_eq!(played.cause(0), CrashCause::TimedOut, "{lie}");
    }
}

#[test]
fn a_worker_that_claims_to_be_past_its_task_is_killed_all_the_same() {
    let mut played = Played::new(TIMED, 2);
    played.begin();
    // The next one too, without a result.
    played.claim();
    for look in 0..=MAX_DISPUTES {
        assert_eq!(played.look_in(TIMEOUT * (2 + look)), None);
    }
    assert_eq!(played.state.workers[0].killed_for, Some(CrashCause::Corrupt));
}

#[test]
fn a_warning_comes_first_and_the_grace_counts_from_the_deadline() {
    let options = TaskOptions { grace: TIMEOUT * 10, ..TIMED };
    let mut played = Played::new(options, 1);
    played.worker.heed_warnings();
    played.begin();
    let task = played.oldest();
    assert_eq!(played.look_in(TIMEOUT * 2), None);
    assert_eq!(played.worker.warned(), (task, nanoseconds(TIMEOUT)));
    assert_eq!(played.look_in(TIMEOUT * 9), None);
    assert_eq!(played.look_in(TIMEOUT * 12), Some(CrashCause::TimedOut));
}

#[test]
fn an_item_that_dies_is_tried_again_and_then_is_poison() {
    let mut played = Played::new(TaskOptions { retries: 9, ..TaskOptions::DEFAULT }, 1);
    played.begin();
    played.die();
    assert!(played.outcome(0).is_none());
    played.begin();
    played.die();
    match played.outcome(0) {
        Some(Outcome::Crashed(crash)) => assert_eq!(crash.deaths, [(1, KILLED), (2, KILLED)]),
        other => panic!("{other:?}"),
    }
    assert_eq!(played.state.stats.retries, 1);
}

#[test]
fn a_retry_waits_and_what_waits_can_be_cancelled() {
    let retry_delay = Duration::from_secs(1);
    let options = TaskOptions { retries: 1, retry_delay, ..TaskOptions::DEFAULT };
    for cancels in [false, true] {
        let mut played = Played::new(options, 1);
        played.begin();
        played.die();
        assert!(!played.state.is_idle() && played.state.workers[0].load() == 0);
        if cancels {
            assert_eq!(played.state.cancel_waiting(|_| true, &Reason::Cancelled), 1);
            assert!(played.state.jobs.get(played.job).expect("a job").is_reached(Target::All));
        } else {
            played.look_in(retry_delay / 2);
            assert_eq!(played.state.workers[0].load(), 0);
            played.look_in(retry_delay * 2);
            assert_eq!(played.state.workers[0].load(), 1);
        }
    }
}

#[test]
fn cancelling_what_runs_condemns_no_worker_that_is_past_it() {
    let mut played = Played::new(TaskOptions::DEFAULT, 2);
    played.begin();
    // It may be at the second by now, whose frame it has claimed.
    played.claim();
    played.state.kill_job(played.job);
    assert_eq!(played.state.workers[0].killed, None);
    let mut played = Played::new(TaskOptions::DEFAULT, 2);
    played.begin();
    let task = played.oldest();
    played.state.cancel_waiting(|_| true, &Reason::Cancelled);
    played.state.kill_job(played.job);
    assert_eq!(played.state.workers[0].killed, Some((task, CrashCause::Cancelled)));
    played.die();
    assert!(matches!(played.outcome(0), Some(Outcome::Cancelled(Reason::Cancelled))));
}

#[test]
fn nobody_looks_while_nothing_is_limited() {
    let mut played = Played::new(TaskOptions::DEFAULT, 2);
    played.begin();
    assert!(!played.state.limits.is_news() && played.state.limits.next().is_none());
    let mut timed = Played::new(TIMED, 1);
    assert!(timed.state.limits.is_news() && !timed.state.limits.is_news());
    assert!(timed.state.limits.next().is_some());
}
