//! Models of the condition.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use millpond_models::model::{Model, Process};
use millpond_models::os::clock::Instant;
use millpond_models::sync::condition::{Condition, Notified};
use millpond_models::sync::deadline::RECHECK_INTERVAL;
use millpond_models::sync::lock::Lock;

#[derive(Default)]
struct Shop {
    lock: Lock,
    condition: Condition,
    goods: UnsafeCell<u32>,
}

// SAFETY: loom checks that the lock orders the accesses.
unsafe impl Sync for Shop {}
// SAFETY: as above.
unsafe impl Send for Shop {}

impl Shop {
    fn put(&self, count: u32) {
        self.lock.acquire(None);
        // SAFETY: the lock is held.
        self.goods.with_mut(|goods| unsafe { *goods += count });
        self.condition.notify(count as usize);
        self.lock.release().expect("held");
    }

    /// Waits for goods, and takes one.
    fn take(&self) {
        self.lock.acquire(None);
        loop {
            // SAFETY: the lock is held.
            let goods = self.goods.with(|goods| unsafe { *goods });
            if goods > 0 {
                // SAFETY: as above.
                self.goods.with_mut(|goods| unsafe { *goods -= 1 });
                break;
            }
            let place = self.condition.register();
            self.lock.release().expect("held");
            assert_eq!(self.condition.wait(&place, None), Notified::Yes);
            self.lock.acquire(None);
        }
        self.lock.release().expect("held");
    }
}

fn takers(shop: &Arc<Shop>) -> [Process<()>; 2] {
    [2, 3].map(|number| {
        let shop = Arc::clone(shop);
        Process::run(number, move || shop.take())
    })
}

#[test]
fn each_notification_wakes_one_that_waits() {
    Model::of(2, 3).run(|| {
        let shop = Arc::new(Shop::default());
        let takers = takers(&shop);
        shop.put(1);
        shop.put(1);
        takers.into_iter().for_each(|taker| assert_eq!(taker.join(), Some(())));
    });
}

#[test]
fn all_are_notified_at_once() {
    Model::of(2, 3).run(|| {
        let shop = Arc::new(Shop::default());
        let takers = takers(&shop);
        shop.put(2);
        takers.into_iter().for_each(|taker| assert_eq!(taker.join(), Some(())));
    });
}

#[test]
fn those_without_a_record_are_woken_too() {
    Model::of(3, 5).run(|| {
        let shop = Arc::new(Shop::default());
        // The models' table has two records.
        let places = [shop.condition.register(), shop.condition.register()];
        let taker = {
            let shop = Arc::clone(&shop);
            Process::run(2, move || shop.take())
        };
        shop.put(1);
        assert_eq!(taker.join(), Some(()));
        for place in places {
            shop.condition.withdraw(place);
        }
        assert_eq!((shop.condition.waiting(), shop.condition.granted()), (0, 0));
    });
}

#[test]
fn one_that_withdraws_passes_its_notification_on() {
    Model::of(2, 4).run(|| {
        let condition = Arc::new(Condition::default());
        let (first, second) = (condition.register(), condition.register());
        let other = {
            let condition = Arc::clone(&condition);
            Process::run(2, move || condition.wait(&second, None))
        };
        let notifier = {
            let condition = Arc::clone(&condition);
            Process::run(3, move || condition.notify(1))
        };
        condition.withdraw(first);
        assert_eq!(notifier.join(), Some(1));
        assert_eq!(other.join(), Some(Notified::Yes));
        assert_eq!((condition.waiting(), condition.granted()), (0, 0));
    });
}

fn waiter_dies_at(point: &'static str) {
    Model::of(1, 2).run(move || {
        let condition = Arc::new(Condition::default());
        let dead = {
            let condition = Arc::clone(&condition);
            Process::dies_at(point, 2, move || {
                let place = condition.register();
                condition.wait(&place, None)
            })
        };
        let mine = condition.register();
        let notifier = {
            let condition = Arc::clone(&condition);
            Process::run(3, move || _ = condition.notify(2))
        };
        assert_eq!(condition.wait(&mine, None), Notified::Yes);
        notifier.join();
        // The other one may have registered only now: it is notified until it has ended.
        while !dead.has_ended() {
            condition.notify(1);
            loom::thread::yield_now();
        }
        dead.join();
    });
}

#[test]
fn no_notification_is_lost_to_one_that_dies_coming() {
    waiter_dies_at("condition: before registering");
}

#[test]
fn no_notification_is_lost_to_one_that_dies_asleep() {
    waiter_dies_at("condition: before sleep");
}

#[test]
fn a_notification_of_the_dead_goes_to_the_living() {
    Model::of(2, 4).run(|| {
        let condition = Arc::new(Condition::default());
        let dead = {
            let condition = Arc::clone(&condition);
            Process::dies_at("condition: before sleep", 2, move || {
                let place = condition.register();
                condition.wait(&place, None)
            })
        };
        assert_eq!(dead.join(), None);
        let mine = condition.register();
        let notifier = {
            let condition = Arc::clone(&condition);
            Process::run(3, move || condition.notify(1))
        };
        assert_eq!(condition.wait(&mine, None), Notified::Yes);
        assert_eq!(notifier.join(), Some(1));
    });
}

#[test]
fn no_notification_is_lost_to_one_that_dies_notified() {
    Model::of(1, 2).run(|| {
        let condition = Arc::new(Condition::default());
        let (first, second) = (condition.register(), condition.register());
        let dead = {
            let condition = Arc::clone(&condition);
            // It has to register itself, so that the place is its own.
            condition.withdraw(first);
            Process::dies_at("condition: before acknowledging", 2, move || {
                let place = condition.register();
                condition.wait(&place, None)
            })
        };
        let notifier = {
            let condition = Arc::clone(&condition);
            Process::run(3, move || _ = condition.notify(2))
        };
        assert_eq!(condition.wait(&second, None), Notified::Yes);
        notifier.join();
        while !dead.has_ended() {
            condition.notify(1);
            loom::thread::yield_now();
        }
        assert_eq!(dead.join(), None);
    });
}

#[test]
fn no_notification_is_lost_to_one_that_dies_before_it_leaves() {
    Model::of(1, 2).run(|| {
        let condition = Arc::new(Condition::default());
        let dead = {
            let condition = Arc::clone(&condition);
            Process::dies_at("condition: before leaving", 2, move || {
                let place = condition.register();
                let until = Instant::now() + 1000 * RECHECK_INTERVAL;
                assert_eq!(condition.wait_a_while(&place, until), Notified::Yes);
                condition.leave(&place)
            })
        };
        while condition.waiting() == 0 {
            loom::thread::yield_now();
        }
        let mine = condition.register();
        // The one that came first is notified, and does not live to use it.
        assert_eq!(condition.notify(1), 1);
        assert_eq!(dead.join(), None);
        assert_eq!(condition.wait(&mine, None), Notified::Yes);
        assert_eq!((condition.waiting(), condition.granted()), (0, 0));
    });
}

#[test]
fn a_notifier_may_die_before_it_wakes() {
    Model::of(4, 6).run(|| {
        let condition = Arc::new(Condition::default());
        let mine = condition.register();
        let notifier = {
            let condition = Arc::clone(&condition);
            Process::dies_at("condition: granted, before wake", 2, move || condition.notify(1))
        };
        assert_eq!(condition.wait(&mine, None), Notified::Yes);
        assert_eq!(notifier.join(), None);
    });
}
