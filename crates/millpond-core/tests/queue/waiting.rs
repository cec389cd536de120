//! Consumers and producers that wait, and the commits that wake them.

use std::os::fd::AsFd;

use millpond_core::channel::queue::{Options, Queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::items::{Kind, put_batch, queue, take_all, take_batch};
use crate::support::{Case, Child};

pub(crate) const CASES: [Case; 8] = [
    Case { point: "queue: before sleep", role: "consumer", visit: consumer_sleeps },
    Case { point: "queue: before sleep", role: "producer", visit: producer_sleeps },
    Case { point: "queue: before wake", role: "producer", visit: producer_wakes },
    Case { point: "queue: before wake", role: "consumer", visit: consumer_wakes },
    Case {
        point: "queue: readiness descriptor is about to be moved",
        role: "producer",
        visit: readiness_fd_is_put,
    },
    Case {
        point: "queue: readiness descriptor is about to be moved",
        role: "consumer",
        visit: readiness_fd_is_taken,
    },
    Case {
        point: "queue: readiness descriptor is moved",
        role: "producer",
        visit: readiness_fd_is_put,
    },
    Case {
        point: "queue: readiness descriptor is moved",
        role: "consumer",
        visit: readiness_fd_is_taken,
    },
];

fn bounded() -> Queue {
    queue(Options { capacity: Some(1), ..Options::default() })
}

fn consumer_sleeps(point: &'static str) {
    let queue = queue(Options::default());
    let other = Child::run(|| take_batch(&queue, Kind::Small).0 == [0]);
    Child::dies_at(point, || drop(take_batch(&queue, Kind::Small)));
    put_batch(&queue, Kind::Small, 0);
    other.ends_well();
}

fn producer_sleeps(point: &'static str) {
    let queue = bounded();
    put_batch(&queue, Kind::Small, 0);
    let other = Child::run(|| {
        put_batch(&queue, Kind::Small, 1);
        true
    });
    Child::dies_at(point, || put_batch(&queue, Kind::Small, 9));
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    assert_eq!(take_batch(&queue, Kind::Small).0, [1]);
    other.ends_well();
}

fn producer_wakes(point: &'static str) {
    let queue = queue(Options::default());
    let waiter = Child::run(|| take_batch(&queue, Kind::Small).0 == [0]);
    waiter.sleeps();
    Child::dies_at(point, || put_batch(&queue, Kind::Small, 0));
    waiter.ends_well();
    assert!(queue.is_empty());
}

fn consumer_wakes(point: &'static str) {
    let queue = bounded();
    put_batch(&queue, Kind::Small, 0);
    let waiter = Child::run(|| {
        put_batch(&queue, Kind::Small, 1);
        true
    });
    waiter.sleeps();
    Child::dies_at(point, || drop(take_batch(&queue, Kind::Small)));
    waiter.ends_well();
    assert_eq!(take_all(&queue, Kind::Small), [1]);
}

pub(crate) fn watched() -> Queue {
    let queue = queue(Options { readiness_fd: true, ..Options::default() });
    assert!(!is_readable(&queue));
    queue
}

pub(crate) fn is_readable(queue: &Queue) -> bool {
    let readiness_fd = queue.watch().expect("a readiness descriptor");
    let mut fds = [PollFd::from_borrowed_fd(readiness_fd.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll") == 1
}

fn readiness_fd_is_put(point: &'static str) {
    let queue = watched();
    Child::dies_at(point, || put_batch(&queue, Kind::Small, 0));
    assert!(is_readable(&queue));
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    assert!(!is_readable(&queue));
}

fn readiness_fd_is_taken(point: &'static str) {
    let queue = watched();
    put_batch(&queue, Kind::Small, 0);
    Child::dies_at(point, || drop(take_batch(&queue, Kind::Small)));
    assert!(!is_readable(&queue));
    put_batch(&queue, Kind::Small, 1);
    assert!(is_readable(&queue));
    assert_eq!(take_all(&queue, Kind::Small), [1]);
    assert!(!is_readable(&queue));
}
