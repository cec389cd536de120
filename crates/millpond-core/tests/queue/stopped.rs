//! Processes that stand still in the queue: those who will not wait for ever need not.

use millpond_core::channel::payload::Parts;
use millpond_core::channel::queue::{GetError, Options, PutError, Queue};
use millpond_core::crash;

use crate::items::{Kind, put_batch, queue, take_all, take_batch};
use crate::support::{Case, Child, far, now, until};

pub(crate) const CASES: [Case; 3] = [
    Case { point: "queue: entered to put", role: "producer that is stopped", visit: producer },
    Case { point: "queue: entered to get", role: "consumer that is stopped", visit: consumer },
    Case { point: "queue: entered to put", role: "producer of a full queue", visit: full },
];

/// A child that calls `run` and stands still at `point` meanwhile; comes back when it does.
fn stops_at(point: &'static str, run: impl FnOnce()) -> Child {
    let child = Child::run(|| {
        crash::arm_to_stop(point);
        run();
        true
    });
    until(|| child.state() == Some('T'));
    child
}

/// Has one that stands still go on to its end.
fn goes_on(stopped: Child) {
    // SIGCONT
    stopped.signal(18);
    stopped.ends_well();
}

fn try_put(queue: &Queue) -> Result<(), PutError> {
    queue.try_put(1, Parts(&[&&[1_u8; 24][..]]))
}

/// Others are told that it does not go on, and take what it had put.
fn producer(point: &'static str) {
    let queue = queue(Options::default());
    put_batch(&queue, Kind::Small, 0);
    let stopped = stops_at(point, || put_batch(&queue, Kind::Small, 2));
    assert!(matches!(try_put(&queue), Err(PutError::Busy)));
    assert!(matches!(queue.wait_to_put(now()), Err(PutError::Busy)));
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    goes_on(stopped);
    queue.wait_to_put(far()).expect("nobody is in the way");
    assert_eq!(take_all(&queue, Kind::Small), [2]);
}

/// A full queue is full, whoever stands in the way.
fn full(point: &'static str) {
    let queue = queue(Options { capacity: Some(1), ..Options::default() });
    let stopped = stops_at(point, || put_batch(&queue, Kind::Small, 0));
    assert!(matches!(try_put(&queue), Err(PutError::Busy)));
    goes_on(stopped);
    assert!(matches!(try_put(&queue), Err(PutError::Full)));
}

fn consumer(point: &'static str) {
    let queue = queue(Options::default());
    (0..2).for_each(|number| put_batch(&queue, Kind::Small, number));
    let stopped = stops_at(point, || assert_eq!(take_batch(&queue, Kind::Small).0, [0]));
    assert!(matches!(queue.try_get(&mut Vec::new()), Err(GetError::Busy)));
    put_batch(&queue, Kind::Small, 2);
    goes_on(stopped);
    assert_eq!(take_all(&queue, Kind::Small), [1, 2]);
}
