//! Tasks and ends whose holders die.

use millpond_core::channel::queue::{End, GetError, JoinError, Options, Queue};

use crate::items::{Kind, put_batch, queue, take_batch};
use crate::support::{Case, Child, far};

pub(crate) const CASES: [Case; 9] = [
    Case { point: "queue: tasks are about to be noted", role: "consumer", visit: taken },
    Case { point: "queue: task is given back", role: "consumer", visit: given_back },
    Case { point: "queue: task is done", role: "consumer", visit: done },
    Case { point: "queue: tasks of the dead are removed", role: "joiner", visit: joiner },
    Case { point: "queue: tasks are lost", role: "joiner", visit: joiner },
    Case { point: "queue: handle is joining", role: "producer that is new", visit: joining },
    Case { point: "queue: handle is joining", role: "producer that arrives", visit: arriving },
    Case { point: "queue: handle has left", role: "last producer", visit: leaving },
    Case { point: "queue: end is about to be closed", role: "last producer", visit: leaving },
];

fn tasks() -> Queue {
    let queue = queue(Options { tasks: true, ..Options::default() });
    (0..3).for_each(|number| put_batch(&queue, Kind::Small, number));
    queue
}

fn work_off(queue: &Queue, count: u64) {
    for _ in 0..count {
        take_batch(queue, Kind::Small);
        queue.task_done(None).expect("a task");
    }
}

fn one_is_lost(queue: &Queue) {
    assert_eq!(queue.join(far()), Err(JoinError::Lost { count: 1 }));
    work_off(queue, queue.len());
    assert_eq!(queue.join(far()), Ok(()));
    assert!(queue.task_done(None).is_err());
}

fn taken(point: &'static str) {
    let queue = tasks();
    Child::dies_at(point, || drop(take_batch(&queue, Kind::Small)));
    one_is_lost(&queue);
}

fn given_back(point: &'static str) {
    let queue = tasks();
    Child::dies_at(point, || work_off(&queue, 1));
    one_is_lost(&queue);
}

fn done(point: &'static str) {
    let queue = tasks();
    Child::dies_at(point, || work_off(&queue, 3));
    work_off(&queue, 2);
    assert_eq!(queue.join(far()), Ok(()));
}

fn joiner(point: &'static str) {
    let queue = tasks();
    Child::run(|| {
        take_batch(&queue, Kind::Small);
        true
    })
    .ends_well();
    Child::dies_at(point, || {
        let _ = queue.join(far());
    });
    one_is_lost(&queue);
}

fn is_closed(queue: &Queue) {
    assert!(matches!(queue.get(&mut Vec::new(), far()), Err(GetError::Closed)));
}

fn joining(point: &'static str) {
    let queue = queue(Options::default());
    queue.join_end(End::Producers).expect("memory");
    Child::dies_at(point, || queue.join_end(End::Producers).expect("memory"));
    put_batch(&queue, Kind::Small, 0);
    assert_eq!(take_batch(&queue, Kind::Small).0, [0]);
    queue.leave_end(End::Producers);
    is_closed(&queue);
}

fn arriving(point: &'static str) {
    let queue = queue(Options::default());
    queue.join_end(End::Producers).expect("memory");
    queue.send_end(End::Producers);
    queue.leave_end(End::Producers);
    Child::dies_at(point, || queue.arrive_at_end(End::Producers).expect("memory"));
    is_closed(&queue);
}

fn leaving(point: &'static str) {
    let queue = queue(Options::default());
    Child::dies_at(point, || {
        queue.join_end(End::Producers).expect("memory");
        queue.leave_end(End::Producers);
    });
    is_closed(&queue);
}
