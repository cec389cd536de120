//! Tasks that are done, and ends that close.

use std::mem::ManuallyDrop;

use super::*;
use crate::channel::queue::layout::PLACES;
use crate::channel::queue::process_counts::Counted;
use crate::channel::queue::{DoneError, End, JoinError};
use crate::os::identity::ProcessId;
use crate::shm::shared::Shared;
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::lock::Lock;
use crate::sync::testing::{Child, sleep_for_ever, until};

fn with_tasks() -> Queue {
    Queue::create(Options { tasks: true, ..Options::default() }).expect("a queue")
}

#[test]
fn join_waits_for_tasks() {
    let queue = with_tasks();
    queue.join(far()).expect("nothing to do");
    assert_eq!(queue.task_done(None), Err(DoneError::TooMany));
    (0..100).for_each(|_| put(&queue, 0, b"task"));
    assert_eq!(queue.join(Some(Instant::now())), Err(JoinError::TimedOut));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            Child::run(|| {
                loop {
                    get(&queue);
                    queue.task_done(None).expect("taken");
                }
            })
        })
        .collect();
    queue.join(far()).expect("all are done");
    assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    drop(workers);
    assert_eq!(queue.join(far()), Ok(()));
}

#[test]
fn tasks_of_the_dead_are_reported_once() {
    let queue = with_tasks();
    (0..5).for_each(|_| put(&queue, 0, b"task"));
    let worker = Child::run(|| {
        (0..3).for_each(|_| drop(get(&queue)));
        queue.task_done(None).expect("taken");
        sleep_for_ever();
    });
    until(|| queue.unfinished() == 4 && queue.len() == 2);
    worker.kill();
    assert_eq!(queue.join(far()), Err(JoinError::Lost { count: 2 }));
    (0..2).for_each(|_| {
        get(&queue);
        queue.task_done(None).expect("taken");
    });
    assert_eq!(queue.join(far()), Ok(()));
    assert_eq!(queue.task_done(None), Err(DoneError::TooMany));
}

#[test]
fn the_last_producer_leaves_a_queue_that_ends() {
    let queue = queue();
    queue.join_end(End::Producers).expect("memory");
    queue.join_end(End::Producers).expect("memory");
    queue.leave_end(End::Producers);
    put(&queue, 0, b"left");
    // A handle in a message keeps the end open.
    queue.send_end(End::Producers);
    queue.leave_end(End::Producers);
    assert!(matches!(try_get(&queue), Ok((_, bytes)) if bytes == b"left"));
    assert!(matches!(try_get(&queue), Err(GetError::Empty)));
    queue.arrive_at_end(End::Producers).expect("memory");
    put(&queue, 0, b"last");
    std::thread::scope(|scope| {
        let getting = scope.spawn(|| {
            assert_eq!(get(&queue).1, b"last");
            get_until(&queue, far())
        });
        until(|| queue.is_empty());
        queue.leave_end(End::Producers);
        assert!(matches!(getting.join().expect("no panic"), Err(GetError::Closed)));
    });
}

#[test]
fn a_dead_producer_and_a_dead_consumer_are_noticed() {
    let (queue, full) = (queue(), bounded(1));
    put(&full, 0, b"item");
    let child = Child::run(|| {
        queue.join_end(End::Producers).expect("memory");
        full.join_end(End::Consumers).expect("memory");
        put(&queue, 0, b"ready");
        sleep_for_ever();
    });
    assert_eq!(get(&queue).1, b"ready");
    child.kill();
    assert!(matches!(get_until(&queue, far()), Err(GetError::Closed)));
    assert!(matches!(full.put(0, Parts(&[]), far()), Err(PutError::Closed)));
    assert!(matches!(try_put(&full, b"item"), Err(PutError::Closed)));
}

#[test]
fn a_process_that_never_waits_notices_dead_consumers_before_the_memory_is_full() {
    let queue = queue();
    let child = Child::run(|| {
        queue.join_end(End::Consumers).expect("memory");
        get(&queue);
        sleep_for_ever();
    });
    put(&queue, 0, b"item");
    until(|| queue.is_empty());
    child.kill();
    let bytes = pattern(100_000, 0);
    until(|| matches!(try_put(&queue, &bytes), Err(PutError::Closed)));
    assert!(queue.len() < 1000);
}

/// The last numbers of holders that pages of per-process counts have room for, and the next ones.
const CROWDS: [usize; 4] = [1, 256, 257, 300];

#[test]
fn the_tasks_of_any_number_of_dead_are_lost() {
    for crowd in CROWDS {
        let queue = with_tasks();
        (0..crowd).for_each(|_| put(&queue, 0, b"task"));
        let takers: Vec<_> = (0..crowd)
            .map(|_| {
                Child::run(|| {
                    get(&queue);
                    sleep_for_ever();
                })
            })
            .collect();
        until(|| queue.is_empty());
        assert_eq!(queue.join(Some(Instant::now())), Err(JoinError::TimedOut));
        takers.iter().for_each(Child::kill);
        let mut lost = 0;
        while let Err(error) = queue.join(far()) {
            let JoinError::Lost { count } = error else { panic!("{error}") };
            lost += count;
        }
        assert_eq!(lost, crowd as u64);
    }
}

#[test]
fn any_number_of_dead_members_is_noticed() {
    for crowd in CROWDS {
        let (queue, here) = (queue(), queue());
        let processes: Vec<_> = (0..crowd)
            .map(|_| {
                Child::run(|| {
                    queue.join_end(End::Producers).expect("memory");
                    put(&here, 0, b"here");
                    sleep_for_ever();
                })
            })
            .collect();
        (0..crowd).for_each(|_| drop(get(&here)));
        let (last, others) = processes.split_last().expect("processes");
        others.iter().for_each(Child::kill);
        assert!(!queue.is_deserted(End::Producers));
        last.kill();
        assert!(matches!(get_until(&queue, far()), Err(GetError::Closed)));
    }
}

#[test]
fn beyond_the_last_place_there_is_an_error() {
    let queue = queue();
    let counts = queue.memory.counts(Counted::Tasks);
    let name = |n: usize| ProcessId::from_raw((n as u64 + 1) << 8).expect("a name");
    let fresh = |n: usize| counts.fresh().map(|place| place.add(name(n), 1));
    (0..PLACES).for_each(|n| fresh(n).expect("a place"));
    assert_eq!(counts.total(), PLACES as u64);
    let error = counts.place(name(PLACES)).expect_err("no place");
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
    assert!(counts.place(name(PLACES - 1)).is_ok());
    assert_eq!((counts.remove(name(5)), counts.remove(name(5))), (1, 0));
    assert!(counts.place(name(PLACES)).is_ok());
}

#[test]
fn one_that_will_say_later_that_it_is_done_may_let_go_of_the_queue_meanwhile() {
    for is_killed in [false, true] {
        let queue = with_tasks();
        put(&queue, 0, b"task");
        let wire_handle = queue.wire_handle();
        let go = Shared::<Lock>::zeroed().expect("memory");
        assert!(go.try_acquire());
        let queue = ManuallyDrop::new(queue);
        let child = Child::run(|| {
            get(&queue);
            // SAFETY: the child's own copy, which it does not use again.
            drop(unsafe { std::ptr::read(&*queue) });
            go.acquire(far());
            Queue::open(&wire_handle).expect("the parent has it").task_done(None).expect("taken");
            sleep_for_ever();
        });
        until(|| queue.is_empty());
        let soon = Instant::now() + 4 * RECHECK_INTERVAL;
        assert_eq!(queue.join(Some(soon)), Err(JoinError::TimedOut));
        if is_killed {
            child.kill();
            assert_eq!(queue.join(far()), Err(JoinError::Lost { count: 1 }));
        } else {
            go.release().expect("held");
            assert_eq!(queue.join(far()), Ok(()));
        }
        drop(ManuallyDrop::into_inner(queue));
    }
}
