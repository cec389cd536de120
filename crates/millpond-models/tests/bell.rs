//! Models of the bell.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use millpond_models::model::{Model, Process};
use millpond_models::os::clock::Instant;
use millpond_models::sync::bell::{Bell, Loudness};
use millpond_models::sync::deadline::RECHECK_INTERVAL;
use millpond_models::sync::spin::Spin;

#[derive(Default)]
struct House {
    bell: Bell,
    /// Looked at without ordering: the bell must order it.
    news: AtomicU32,
    signals: AtomicU32,
    letter: UnsafeCell<u32>,
}

// SAFETY: loom checks that the bell orders the accesses.
unsafe impl Sync for House {}
// SAFETY: as above.
unsafe impl Send for House {}

impl House {
    fn publish(&self, loudness: Loudness) {
        self.news.fetch_add(1, Ordering::Relaxed);
        if self.bell.ring(loudness) {
            self.signals.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn wait_for(&self, news: u32) {
        loop {
            let seen = self.bell.listen();
            if self.news.load(Ordering::Relaxed) >= news {
                return;
            }
            self.bell.wait(seen, &mut Spin::default(), None);
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
        house.publish(Loudness::Loud);
        house.publish(Loudness::Quiet);
        sleepers.into_iter().for_each(|sleeper| assert_eq!(sleeper.join(), Some(())));
    });
}

#[test]
fn two_ringers_wake_one_sleeper() {
    Model::of(1, 3).run(|| {
        let house = Arc::new(House::default());
        let ringers = [2, 3].map(|number| {
            let house = Arc::clone(&house);
            Process::run(number, move || house.publish(Loudness::Quiet))
        });
        house.wait_for(2);
        ringers.into_iter().for_each(|ringer| assert_eq!(ringer.join(), Some(())));
    });
}

#[test]
fn a_ring_orders_what_came_before_it() {
    Model::of(3, 6).run(|| {
        let house = Arc::new(House::default());
        let before = house.bell.listen();
        let ringer = {
            let house = Arc::clone(&house);
            Process::run(2, move || {
                // SAFETY: nobody reads before the bell was rung.
                house.letter.with_mut(|letter| unsafe { *letter = 7 });
                assert!(!house.bell.ring(Loudness::Loud));
            })
        };
        while !house.bell.rung_since(before) {
            house.bell.wait(before, &mut Spin::default(), None);
        }
        // SAFETY: written before the ring.
        assert_eq!(house.letter.with(|letter| unsafe { *letter }), 7);
        ringer.join();
    });
}

#[test]
fn a_dozer_hears_a_loud_ring_whenever_it_nodded() {
    Model::of(3, 6).run(|| {
        let house = Arc::new(House::default());
        let ringer = {
            let house = Arc::clone(&house);
            Process::run(2, move || {
                house.publish(Loudness::Quiet);
                house.publish(Loudness::Loud);
            })
        };
        house.bell.nod();
        if house.news.load(Ordering::Relaxed) < 2 {
            house.bell.doze(Instant::now() + RECHECK_INTERVAL);
        }
        assert_eq!(ringer.join(), Some(()));
    });
}

#[test]
fn the_watcher_is_told_or_finds_the_news() {
    Model::of(2, 4).run(|| {
        let house = Arc::new(House::default());
        let ringers = [2, 3].map(|number| {
            let house = Arc::clone(&house);
            Process::run(number, move || house.publish(Loudness::Loud))
        });
        house.bell.watch();
        let found = house.news.load(Ordering::Relaxed);
        ringers.into_iter().for_each(|ringer| assert_eq!(ringer.join(), Some(())));
        let told = house.signals.load(Ordering::SeqCst);
        assert!(found == 2 || told == 1, "found {found}, told {told}");
        assert!(told <= 1);
    });
}
