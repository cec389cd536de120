//! Processes that are stopped inside of the queue: other processes' calls with a deadline still
//! end.

use millpond_core::channel::payload::Parts;
use millpond_core::channel::queue::{DoneError, GetError, Options, PutError, Queue};

use crate::items::{Kind, memory_comes_back, put_batch, queue, take_all, take_batch};
use crate::support::{Case, Child, far, now};
use crate::waiting::{is_readable, watched};

pub(crate) const CASES: [Case; 7] = [
    Case { point: "queue: entered to put", role: "producer that is stopped", visit: producer },
    Case { point: "queue: entered to get", role: "consumer that is stopped", visit: consumer },
    Case { point: "queue: entered to put", role: "producer of a full queue", visit: full },
    Case { point: "queue: entered to get", role: "consumer that has a task", visit: tasks },
    Case { point: "queue: units are found", role: "producer in the heap", visit: heap },
    Case { point: "queue: hint is lowered", role: "consumer in the heap", visit: heap_of_free },
    Case {
        point: "queue: readiness descriptor is about to be moved",
        role: "producer, stopped",
        visit: readiness_fd,
    },
];

fn try_put(queue: &Queue) -> Result<(), PutError> {
    queue.try_put(1, Parts(&[&&[1_u8; 24][..]]))
}

/// Others are told that it does not go on, and take what it had put.
fn producer(point: &'static str) {
    let queue = queue(Options::default());
    put_batch(&queue, Kind::Small, 0);
    let stopped = Child::stops_at(point, || put_batch(&queue, Kind::Small, 2));
    assert!(matches!(try_put(&queue), Err(PutError::Busy)));
    assert!(matches!(queue.wait_to_put(now()), Err(PutError::Busy)));
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    stopped.goes_on();
    queue.wait_to_put(far()).expect("nobody is in the way");
    assert_eq!(take_all(&queue, Kind::Small), [2]);
}

/// A full queue reports `Full` although another process is stopped in a guard.
fn full(point: &'static str) {
    let queue = queue(Options { capacity: Some(1), ..Options::default() });
    let stopped = Child::stops_at(point, || put_batch(&queue, Kind::Small, 0));
    assert!(matches!(try_put(&queue), Err(PutError::Busy)));
    stopped.goes_on();
    assert!(matches!(try_put(&queue), Err(PutError::Full)));
}

fn consumer(point: &'static str) {
    let queue = queue(Options::default());
    (0..2).for_each(|number| put_batch(&queue, Kind::Small, number));
    let stopped = Child::stops_at(point, || assert_eq!(take_batch(&queue, Kind::Small).0, [0]));
    assert!(matches!(queue.try_get(&mut Vec::new()), Err(GetError::Busy)));
    put_batch(&queue, Kind::Small, 2);
    stopped.goes_on();
    assert_eq!(take_all(&queue, Kind::Small), [1, 2]);
}

fn tasks(point: &'static str) {
    let queue = queue(Options { tasks: true, ..Options::default() });
    (0..2).for_each(|number| put_batch(&queue, Kind::Small, number));
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    let stopped = Child::stops_at(point, || {
        take_batch(&queue, Kind::Small);
        queue.task_done(None).expect("its task");
    });
    assert_eq!(queue.task_done(now()), Err(DoneError::Busy));
    stopped.goes_on();
    assert_eq!(queue.task_done(now()), Ok(()));
    assert_eq!(queue.task_done(now()), Err(DoneError::TooMany));
}

/// Others put and take all the same, and the one that was stopped sees to the readiness descriptor
/// in the end.
fn readiness_fd(point: &'static str) {
    let queue = watched();
    let stopped = Child::stops_at(point, || put_batch(&queue, Kind::Small, 0));
    put_batch(&queue, Kind::Small, 1);
    assert!(!is_readable(&queue));
    assert_eq!(take_all(&queue, Kind::Small), [0, 1]);
    put_batch(&queue, Kind::Small, 2);
    stopped.goes_on();
    assert!(is_readable(&queue));

    // One that dies as it stands there is found out, and keeps nobody waiting.
    assert_eq!(take_all(&queue, Kind::Small), [2]);
    let stopped = Child::stops_at(point, || put_batch(&queue, Kind::Small, 3));
    put_batch(&queue, Kind::Small, 4);
    stopped.kill();
    put_batch(&queue, Kind::Small, 5);
    assert!(is_readable(&queue));
    assert_eq!(take_all(&queue, Kind::Small), [3, 4, 5]);
    assert!(!is_readable(&queue));
}

fn try_put_large(queue: &Queue) -> Result<(), PutError> {
    queue.try_put(1, Parts(&[&&[1_u8; 100_000][..]]))
}

/// Others put what needs no memory, and give back what they have; what they did not free is freed
/// later.
fn heap(point: &'static str) {
    let queue = queue(Options::default());
    for number in 0..2 {
        put_batch(&queue, Kind::Large, number);
    }
    let stopped = Child::stops_at(point, || put_batch(&queue, Kind::Large, 2));
    assert!(matches!(try_put_large(&queue), Err(PutError::Busy)));
    assert!(matches!(queue.wait_to_put(now()), Err(PutError::Busy)));
    try_put(&queue).expect("a small one");
    (0..2).for_each(|_| drop(take_batch(&queue, Kind::Large)));
    stopped.goes_on();
    assert_eq!(queue.len(), 2);
    // A segment, a large item, and two that nobody has freed yet.
    assert_eq!(queue.blocks_in_use(), 4);
    queue.wait_to_put(far()).expect("nobody is in the way");
    for _ in 0..2 {
        queue.try_get(&mut Vec::new()).expect("an item");
    }
    memory_comes_back(&queue);
}

fn heap_of_free(point: &'static str) {
    let queue = queue(Options::default());
    put_batch(&queue, Kind::Large, 0);
    let stopped = Child::stops_at(point, || drop(take_batch(&queue, Kind::Large)));
    assert!(matches!(try_put_large(&queue), Err(PutError::Busy)));
    stopped.goes_on();
    put_batch(&queue, Kind::Large, 1);
    assert_eq!(take_all(&queue, Kind::Large), [1]);
    memory_comes_back(&queue);
}
