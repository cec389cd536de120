//! Tasks that are done, and ends that close.

use super::*;
use crate::channel::queue::{DoneError, End, JoinError};
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
    queue.join_end(End::Producers);
    queue.join_end(End::Producers);
    queue.leave_end(End::Producers);
    put(&queue, 0, b"left");
    // A handle in a message keeps the end open.
    queue.send_end(End::Producers);
    queue.leave_end(End::Producers);
    assert!(matches!(try_get(&queue), Ok((_, bytes)) if bytes == b"left"));
    assert!(matches!(try_get(&queue), Err(GetError::Empty)));
    queue.arrive_at_end(End::Producers);
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
        queue.join_end(End::Producers);
        full.join_end(End::Consumers);
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
fn who_never_waits_notices_dead_consumers_before_the_memory_is_full() {
    let queue = queue();
    let child = Child::run(|| {
        queue.join_end(End::Consumers);
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
