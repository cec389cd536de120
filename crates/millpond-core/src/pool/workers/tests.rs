//! Which worker gets a task.

use std::os::fd::AsFd;

use super::*;
use crate::channel::link::WorkerEnd;
use crate::os::clock::monotonic_ns;
use crate::pool::config::Config;
use crate::pool::control_block::ControlBlock;
use crate::pool::task::{Body, FunctionId};

/// The workers of a pool on a machine of two CPUs, and what it needs to hand tasks out.
struct Fixture {
    workers: Workers,
    functions: Functions,
    heap: Heap,
    _control_block: ControlBlock,
    tasks: u64,
}

impl Fixture {
    fn new(count: u32) -> Self {
        let control_block = ControlBlock::create().expect("control block");
        let heap = Heap::new(control_block.segment()).expect("a heap");
        let mut workers = Workers::new();
        workers.cpus = 2.into();
        // It knows that tasks are short.
        workers.average_ns = 0;
        let config = Config { processes: 1.into(), ..Config::default() };
        for place in 0..count {
            let number = u64::from(place) + 1;
            let (mut worker, _) = WorkerHandle::new(number, 0, place, 1, &config).expect("a link");
            worker.ready = true;
            workers.add(worker);
        }
        Self {
            workers,
            functions: Functions::default(),
            heap,
            _control_block: control_block,
            tasks: 0,
        }
    }

    /// Hands one more task out; whom to.
    fn hand(&mut self, is_awaited: bool) -> Option<usize> {
        let index = self.workers.next(is_awaited)?;
        self.try_hand(index, 1).expect("room");
        Some(index)
    }

    fn try_hand(&mut self, index: usize, function: FunctionId) -> Result<(), NotHanded> {
        self.tasks += 1;
        let (id, body) = (self.tasks, Body::Inline(Vec::new()));
        let (job, op, items, parts, captured_handles) = (1, 0, 1, 1, None);
        let task = Task {
            id,
            job,
            index: id,
            function,
            op,
            items,
            parts,
            body,
            captured_handles,
            timed: false,
            tries: None,
            priority: 0,
            came_ns: 0,
        };
        self.workers.hand(index, task, &self.functions, &mut self.heap)
    }

    fn hand_many(&mut self, count: usize, is_awaited: bool) {
        for _ in 0..count {
            assert!(self.hand(is_awaited).is_some());
        }
    }

    fn finish(&mut self, index: usize) {
        let id = self.workers[index].in_flight().next().expect("a task").id;
        self.workers.finished(index, id).expect("its task");
        self.rest();
    }

    fn rest(&mut self) {
        let mut at = 0;
        while self.workers.busy(at).is_some() {
            at += usize::from(!self.workers.rest(at));
        }
    }

    fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(WorkerHandle::load).collect()
    }
}

#[test]
fn short_tasks_go_to_as_many_workers_as_there_are_cpus() {
    let mut fixture = Fixture::new(4);
    fixture.hand_many(20, true);
    assert_eq!(fixture.loads(), [10, 10, 0, 0]);
    assert!(fixture.workers.has_waiting() && !fixture.workers.is_idle());
    let mut fixture = Fixture::new(4);
    fixture.hand_many(20, false);
    assert_eq!(fixture.loads(), [20, 0, 0, 0], "the thread that submits has the other CPU");
    fixture.hand_many(2 * PREFETCH - 20, false);
    assert_eq!(fixture.loads(), [PREFETCH, PREFETCH, 0, 0], "but not for more than that");
    assert_eq!(fixture.hand(false), None);
}

#[test]
fn the_worker_that_worked_last_comes_first() {
    let mut fixture = Fixture::new(4);
    assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
    fixture.finish(1);
    fixture.finish(0);
    assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
    fixture.finish(0);
    assert_eq!(fixture.hand(true), Some(0));
}

#[test]
fn long_tasks_go_to_everybody() {
    let mut fixture = Fixture::new(6);
    (0..AVERAGED).for_each(|_| fixture.workers.took(2 * LONG_NS));
    fixture.hand_many(6, false);
    assert_eq!(fixture.loads(), [1; 6]);
    (0..AVERAGED).for_each(|_| fixture.workers.took(u64::MAX));
    while fixture.hand(false).is_some() {}
    assert!(fixture.loads().iter().all(|&load| load < 10), "not far ahead");
}

/// Looks twice, as far apart as a worker may take to begin a task; what was taken back.
fn look_twice(fixture: &mut Fixture) -> Vec<TaskId> {
    let now = Instant::now();
    assert!(fixture.workers.look_at(now).is_empty());
    fixture.workers.look_at(now + STUCK_AFTER).into_iter().map(|task| task.id).collect()
}

/// The worker's end of a worker's link, after the frame that tells of the function.
fn worker(fixture: &Fixture, index: usize) -> WorkerEnd {
    let link = fixture.workers[index].link().as_fd().try_clone_to_owned().expect("a descriptor");
    let again = link.try_clone().expect("a descriptor");
    let mut worker = WorkerEnd::attach(link).expect("the same layout");
    let refused = WorkerEnd::attach(again).expect_err("it has a worker");
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    let frame = worker.tasks.front().expect("intact").expect("the function");
    assert_eq!(frame.claim(), Ok(true));
    frame.release();
    worker
}

#[test]
fn what_a_worker_does_not_begin_goes_to_others_until_it_is_back() {
    for count in [1, 5] {
        let mut fixture = Fixture::new(4);
        fixture.hand_many(count, false);
        assert_eq!(fixture.loads(), [count, 0, 0, 0]);
        assert!(fixture.workers.next_look(false).is_some(), "somebody is to look");
        assert_eq!(look_twice(&mut fixture), (1..=count as u64).collect::<Vec<_>>());
        assert!(fixture.workers.is_idle());
        fixture.rest();
        assert_eq!(fixture.hand(false), Some(1), "it gets nothing");
        assert!(fixture.workers.next_look(false).is_some(), "somebody is to see it come back");
        // It passes the function and what was taken back.
        assert!(worker(&fixture, 0).tasks.front().expect("intact").is_none());
        fixture.rest();
        fixture.finish(1);
        assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(1), Some(0)]);
    }
}

#[test]
fn somebody_looks_only_while_that_may_change_something() {
    let mut fixture = Fixture::new(2);
    assert!(fixture.workers.next_look(false).is_none(), "nothing to do");
    fixture.hand_many(1, true);
    assert_eq!(look_twice(&mut fixture), [1]);
    fixture.rest();
    assert!(fixture.workers.next_look(false).is_none(), "one is away, but there is nothing to do");
    assert_eq!(fixture.hand(true), Some(1));
    assert!(
        fixture.workers.next_look(false).is_some(),
        "the other may not begin, and the first return"
    );
    worker(&fixture, 1).hold(Some(2), 1);
    assert!(fixture.workers.look_at(Instant::now()).is_empty());
    assert!(fixture.workers.next_look(false).is_none(), "it has begun");
    assert!(
        fixture.workers.next_look(true).is_some(),
        "there is something for the one that is away"
    );
}

#[test]
fn what_waits_for_several_workers_comes_back_oldest_first() {
    let mut fixture = Fixture::new(4);
    fixture.hand_many(6, true);
    assert_eq!(fixture.loads(), [3, 3, 0, 0]);
    assert_eq!(look_twice(&mut fixture), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_worker_is_idle_as_soon_as_all_was_taken_back() {
    let mut fixture = Fixture::new(1);
    fixture.hand_many(2, true);
    fixture.rest();
    assert_eq!(fixture.workers.take_back(0, usize::MAX).len(), 2);
    assert_eq!(fixture.hand(true), Some(0));
    assert_eq!(fixture.workers.take_back(0, usize::MAX).len(), 1);
    assert_eq!(fixture.hand(true), Some(0));
}

#[test]
fn what_a_worker_has_claimed_stays_with_it() {
    let mut fixture = Fixture::new(4);
    fixture.hand_many(3, false);
    let mut worker = worker(&fixture, 0);
    let frame = worker.tasks.front().expect("intact").expect("a task");
    // It is stopped before it notes the task.
    assert_eq!(frame.claim(), Ok(true));
    assert_eq!(look_twice(&mut fixture), [2, 3]);
    assert_eq!(fixture.loads(), [1, 0, 0, 0]);
    assert_eq!(fixture.hand(false), Some(1));
    worker.hold(Some(1), monotonic_ns());
    fixture.finish(0);
    assert_eq!(fixture.loads(), [0, 1, 0, 0]);
    assert_eq!(fixture.hand(true), Some(0), "it is back");
}

#[test]
fn a_worker_hears_of_what_fills_its_ring() {
    let mut fixture = Fixture::new(1);
    fixture.hand_many(1, true);
    let mut worker = worker(&fixture, 0);
    let take_all = |worker: &mut WorkerEnd| {
        while let Some(frame) = worker.tasks.front().expect("intact") {
            assert_eq!(frame.claim(), Ok(true));
            frame.release();
        }
    };
    let most = 10_000;
    for function in 1..=most {
        take_all(&mut worker);
        fixture.finish(0);
        fixture.try_hand(0, function).expect("room");
    }
    take_all(&mut worker);
    fixture.finish(0);
    fixture.workers.notify();
    (1..=most).for_each(|function| fixture.workers[0].forget(function));
    let mut rounds = 0;
    loop {
        let seen = worker.event_count().listen();
        let handed = fixture.try_hand(0, 1);
        fixture.workers.notify();
        assert!(worker.event_count().notified_since(seen), "it sleeps");
        if handed.is_ok() {
            break;
        }
        take_all(&mut worker);
        rounds += 1;
    }
    assert!(rounds > 0, "the ring was never full");
}

#[test]
fn a_worker_that_began_in_the_future_is_stuck() {
    let mut fixture = Fixture::new(4);
    fixture.hand_many(3, false);
    let mut worker = worker(&fixture, 0);
    let frame = worker.tasks.front().expect("intact").expect("a task");
    assert_eq!(frame.claim(), Ok(true));
    worker.hold(Some(1), u64::MAX / 2);
    let moved = fixture.workers.look_at(Instant::now());
    assert_eq!(moved.into_iter().map(|task| task.id).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn tasks_stay_where_they_are_if_nobody_else_can_have_them() {
    let mut fixture = Fixture::new(2);
    fixture.hand_many(2, true);
    assert!(fixture.workers.next_look(false).is_some(), "one may be done, and the other not begin");
    assert_eq!(look_twice(&mut fixture), []);
    assert_eq!(fixture.loads(), [1, 1]);
    assert!(fixture.workers.next_look(false).is_some());
    let mut first = worker(&fixture, 0);
    first.tasks.front().expect("intact").expect("a task").release();
    fixture.finish(0);
    let later = Instant::now() + 3 * STUCK_AFTER;
    let moved: Vec<_> = fixture.workers.look_at(later).into_iter().map(|task| task.id).collect();
    assert_eq!(moved, [2], "the first is back");
    assert_eq!(fixture.hand(true), Some(0));
}

#[test]
fn workers_that_are_being_set_up_get_nothing() {
    let mut fixture = Fixture::new(3);
    fixture.workers[0].ready = false;
    fixture.workers[2].ready = false;
    fixture.hand_many(3, true);
    assert_eq!(fixture.loads(), [0, 3, 0]);
    fixture.workers[2].ready = true;
    fixture.rest();
    assert_eq!(fixture.workers.busiest(true), Some(1), "there is another one now");
    fixture.hand_many(1, true);
    assert_eq!(fixture.loads(), [0, 3, 1]);
}

#[test]
fn while_no_worker_is_ready_each_gets_one_task() {
    let mut fixture = Fixture::new(3);
    fixture.workers.iter_mut().for_each(|worker| worker.ready = false);
    assert_eq!([fixture.hand(true), fixture.hand(false)], [Some(0), Some(1)]);
    fixture.hand_many(1, true);
    assert_eq!(fixture.hand(true), None, "no second one");
    assert!(fixture.workers.take_early(true).is_none(), "nobody else can have them");
    fixture.workers[1].ready = true;
    fixture.rest();
    assert!(fixture.workers.take_early(false).is_none(), "it has one to begin with");
    fixture.finish(1);
    let mut take = || {
        let task = fixture.workers.take_early(false)?;
        let id = task.id;
        let index = fixture.workers.next(true).expect("the one that is ready");
        assert_eq!(index, 1);
        let handed = fixture.workers.hand(index, task, &fixture.functions, &mut fixture.heap);
        handed.expect("room");
        Some(id)
    };
    assert_eq!(take(), Some(1), "the oldest");
    assert_eq!(take(), None, "it has one again");
    assert_eq!(fixture.loads(), [0, 1, 1]);
    fixture.finish(1);
    // The third has become ready, and begun.
    let mut third = worker(&fixture, 2);
    assert_eq!(third.tasks.front().expect("intact").expect("a task").claim(), Ok(true));
    assert!(fixture.workers.take_early(true).is_none());
}

#[test]
fn what_nobody_else_can_have_stays_with_workers_that_are_being_set_up() {
    let mut fixture = Fixture::new(2);
    fixture.workers.iter_mut().for_each(|worker| worker.ready = false);
    fixture.hand_many(1, true);
    assert!(fixture.workers.next_look(false).is_none(), "nobody is to look");
    assert_eq!(look_twice(&mut fixture), []);
    assert!(!fixture.workers[0].is_stuck && !fixture.workers[0].is_away());
    fixture.workers[1].ready = true;
    fixture.rest();
    let task = fixture.workers.take_early(true).expect("it is for the one that is ready");
    assert_eq!(task.id, 1);
}

#[test]
fn workers_that_come_and_go_keep_their_places_in_the_lists() {
    let mut fixture = Fixture::new(4);
    assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
    drop(fixture.workers.dead_worker(0));
    fixture.workers.remove(0);
    assert_eq!(fixture.loads(), [1, 0, 0]);
    assert_eq!(fixture.hand(true), Some(1));
    fixture.finish(0);
    assert_eq!(fixture.hand(true), Some(0));
    assert_eq!(fixture.loads(), [1, 1, 0]);
    fixture.finish(0);
    fixture.finish(1);
    assert!(fixture.workers.is_idle() && !fixture.workers.has_waiting());
}

#[test]
fn tasks_of_which_nothing_is_known_go_to_a_worker_each() {
    let mut fixture = Fixture::new(4);
    fixture.workers.average_ns = Workers::new().average_ns;
    fixture.hand_many(4, false);
    assert_eq!(fixture.loads(), [1; 4]);
}
