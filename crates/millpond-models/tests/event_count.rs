//! Models of the event count.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use millpond_models::model::{Model, Process};
use millpond_models::os::clock::Instant;
use millpond_models::sync::deadline::RECHECK_INTERVAL;
use millpond_models::sync::event_count::{EventCount, Notify};
use millpond_models::sync::spin::Spin;

#[derive(Default)]
struct House {
    event_count: EventCount,
    /// Looked at without ordering: the event count must order it.
    news: AtomicU32,
    signals: AtomicU32,
    letter: UnsafeCell<u32>,
}

// SAFETY: loom checks that the event count orders the accesses.
unsafe impl Sync for House {}
// SAFETY: as above.
unsafe impl Send for House {}

impl House {
    fn publish(&self, notify: Notify) {
        self.news.fetch_add(1, Ordering::Relaxed);
        if self.event_count.notify(notify) {
            self.signals.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn wait_for(&self, news: u32) {
        loop {
            let seen = self.event_count.listen();
            if self.news.load(Ordering::Relaxed) >= news {
                return;
            }
            self.event_count.wait(seen, &mut Spin::default(), None);
        }
    }
}

#[test]
fn no_sleeper_misses_the_last_news() {
    Model::of(1, 2).run(|| {
        let house = Arc::new(House::default());
        let sleepers = [2, 3].map(|number| {
            let house = Arc::clone(&house);
            Process::run(number, move || house.wait_for(2))
        });
        house.publish(Notify::All);
        house.publish(Notify::Eager);
        sleepers.into_iter().for_each(|sleeper| assert_eq!(sleeper.join(), Some(())));
    });
}

#[test]
fn two_ringers_wake_one_sleeper() {
    Model::of(1, 3).run(|| {
        let house = Arc::new(House::default());
        let notifiers = [2, 3].map(|number| {
            let house = Arc::clone(&house);
            Process::run(number, move || house.publish(Notify::Eager))
        });
        house.wait_for(2);
        notifiers.into_iter().for_each(|notifier| assert_eq!(notifier.join(), Some(())));
    });
}

#[test]
fn a_ring_orders_what_came_before_it() {
    Model::of(3, 6).run(|| {
        let house = Arc::new(House::default());
        let before = house.event_count.listen();
        let notifier = {
            let house = Arc::clone(&house);
            Process::run(2, move || {
                // SAFETY: no thread reads before the event count was notified.
                house.letter.with_mut(|letter| unsafe { *letter = 7 });
                assert!(!house.event_count.notify(Notify::All));
            })
        };
        while !house.event_count.notified_since(before) {
            house.event_count.wait(before, &mut Spin::default(), None);
        }
        // SAFETY: written before the ring.
        assert_eq!(house.letter.with(|letter| unsafe { *letter }), 7);
        notifier.join();
    });
}

#[test]
fn a_batch_waiter_notices_a_notification_for_all_after_it_registered() {
    Model::of(3, 6).run(|| {
        let house = Arc::new(House::default());
        let notifier = {
            let house = Arc::clone(&house);
            Process::run(2, move || {
                house.publish(Notify::Eager);
                house.publish(Notify::All);
            })
        };
        house.event_count.prepare_batch_wait();
        if house.news.load(Ordering::Relaxed) < 2 {
            house.event_count.batch_wait(Instant::now() + RECHECK_INTERVAL);
        }
        assert_eq!(notifier.join(), Some(()));
    });
}

#[test]
fn the_watcher_is_told_or_finds_the_news() {
    Model::of(2, 4).run(|| {
        let house = Arc::new(House::default());
        let notifiers = [2, 3].map(|number| {
            let house = Arc::clone(&house);
            Process::run(number, move || house.publish(Notify::All))
        });
        house.event_count.watch();
        let found = house.news.load(Ordering::Relaxed);
        notifiers.into_iter().for_each(|notifier| assert_eq!(notifier.join(), Some(())));
        let told = house.signals.load(Ordering::SeqCst);
        assert!(found == 2 || told == 1, "found {found}, told {told}");
        assert!(told <= 1);
    });
}
