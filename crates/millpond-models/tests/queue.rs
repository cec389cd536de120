//! Models of how a queue commits, takes and waits.

use std::sync::Arc;

use millpond_models::channel::queue::numbers::Numbers;
use millpond_models::model::{Model, Process};

#[test]
fn two_producers_and_one_consumer() {
    Model::of(2, 3).run(|| {
        let queue = Arc::new(Numbers::default());
        let producers = [2, 3].map(|number| {
            let queue = Arc::clone(&queue);
            Process::run(number, move || queue.put(&[number]))
        });
        let mut taken = [queue.take(), queue.take()];
        taken.sort_unstable();
        assert_eq!(taken, [2, 3]);
        assert_eq!(queue.try_take(), None);
        producers.into_iter().for_each(|producer| assert_eq!(producer.join(), Some(())));
    });
}

#[test]
fn two_consumers_and_one_producer() {
    Model::of(2, 3).run(|| {
        let queue = Arc::new(Numbers::default());
        let consumers = [2, 3].map(|number| {
            let queue = Arc::clone(&queue);
            Process::run(number, move || queue.take())
        });
        queue.put(&[10]);
        queue.put(&[11]);
        let mut taken = consumers.map(|consumer| consumer.join().expect("it lives"));
        taken.sort_unstable();
        assert_eq!(taken, [10, 11]);
    });
}

#[test]
fn several_in_one_commit_wake_several() {
    Model::of(2, 3).run(|| {
        let queue = Arc::new(Numbers::default());
        let consumers = [2, 3].map(|number| {
            let queue = Arc::clone(&queue);
            Process::run(number, move || queue.take())
        });
        queue.put(&[10, 11]);
        let mut taken = consumers.map(|consumer| consumer.join().expect("it lives"));
        taken.sort_unstable();
        assert_eq!(taken, [10, 11]);
    });
}

fn producer_dies_at(point: &'static str) {
    Model::of(2, 3).run(move || {
        let queue = Arc::new(Numbers::default());
        let dead = {
            let queue = Arc::clone(&queue);
            Process::dies_at(point, 2, move || queue.put(&[20, 21]))
        };
        let other = {
            let queue = Arc::clone(&queue);
            Process::run(3, move || queue.put(&[30]))
        };
        let mut taken = vec![queue.take()];
        dead.join();
        other.join();
        taken.extend(std::iter::from_fn(|| queue.try_take()));
        // All of a commit or nothing of it, each once and in order.
        let of_dead: Vec<_> = taken.iter().copied().filter(|number| *number < 30).collect();
        let committed = point != "queue: position is written";
        assert_eq!(of_dead, if committed { &[20, 21][..] } else { &[] });
        assert_eq!(taken.iter().filter(|number| **number == 30).count(), 1);
    });
}

#[test]
fn a_producer_may_die_before_its_commit() {
    producer_dies_at("queue: position is written");
}

#[test]
fn a_producer_may_die_after_its_commit() {
    producer_dies_at("queue: committed");
}

#[test]
fn a_producer_may_die_before_it_wakes() {
    producer_dies_at("queue: before wake");
}

fn consumer_dies_at(point: &'static str) {
    Model::of(2, 3).run(move || {
        let queue = Arc::new(Numbers::default());
        let dead = {
            let queue = Arc::clone(&queue);
            Process::dies_at(point, 2, move || queue.take())
        };
        let producer = {
            let queue = Arc::clone(&queue);
            Process::run(3, move || queue.put(&[30, 31]))
        };
        let mine = queue.take();
        producer.join();
        // What the dead one had not committed to take is still there.
        let lost = point == "queue: committed";
        match dead.join() {
            None if lost => assert!(mine == 30 || mine == 31),
            None => assert_eq!((mine, queue.try_take()), (30, Some(31))),
            Some(other) => assert_eq!(mine + other, 61),
        }
        assert_eq!(queue.try_take(), None);
    });
}

#[test]
fn a_consumer_may_die_before_its_commit() {
    consumer_dies_at("queue: position is written");
}

#[test]
fn a_consumer_may_die_after_its_commit() {
    consumer_dies_at("queue: committed");
}

#[test]
fn a_consumer_may_die_before_it_sleeps() {
    consumer_dies_at("queue: before sleep");
}
