//! Models of the event.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use millpond_models::model::{Model, Process};
use millpond_models::sync::event::Event;

#[derive(Default)]
struct News {
    event: Event,
    number: UnsafeCell<u32>,
}

// SAFETY: loom checks that the event orders the accesses.
unsafe impl Sync for News {}
// SAFETY: as above.
unsafe impl Send for News {}

#[test]
fn a_process_that_waits_gets_through_and_sees_what_was_done_before() {
    Model::of(2, 4).run(|| {
        let news = Arc::new(News::default());
        let waiters = [2, 3].map(|number| {
            let news = Arc::clone(&news);
            Process::run(number, move || {
                assert_eq!(news.event.wait(None), Ok(true));
                // SAFETY: written before the event was set.
                news.number.with(|number| unsafe { *number })
            })
        });
        // SAFETY: no thread reads before the event is set.
        news.number.with_mut(|number| unsafe { *number = 7 });
        news.event.set();
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), Some(7)));
    });
}

#[test]
fn a_setting_that_is_cleared_lets_those_through_who_saw_it_unset() {
    Model::of(3, 6).run(|| {
        let event = Arc::new(Event::default());
        let waiter = {
            let event = Arc::clone(&event);
            Process::run(2, move || event.wait(None))
        };
        event.set();
        event.clear();
        // For one that came only now.
        event.set();
        assert_eq!(waiter.join(), Some(Ok(true)));
    });
}

#[test]
fn setters_may_die() {
    Model::of(4, 8).run(|| {
        let event = Arc::new(Event::default());
        let setter = {
            let event = Arc::clone(&event);
            Process::dies_at("event: set, before wake", 2, move || event.set())
        };
        assert_eq!(event.wait(None), Ok(true));
        assert_eq!(setter.join(), None);
    });
}

#[test]
fn waiters_may_die() {
    Model::of(2, 4).run(|| {
        let event = Arc::new(Event::default());
        let waiters = [("event: before sleep", 2), ("", 3)].map(|(point, number)| {
            let event = Arc::clone(&event);
            Process::dies_at(point, number, move || event.wait(None))
        });
        event.set();
        let [dead, other] = waiters.map(Process::join);
        assert!(dead.is_none_or(|end| end == Ok(true)));
        assert_eq!(other, Some(Ok(true)));
    });
}
