//! Tests of `condition.rs`.

use super::*;
use crate::shm::shared::Shared;
use crate::sync::testing::{Child, far, until};
use std::sync::atomic::AtomicUsize;

fn condition() -> Shared<Condition> {
    Shared::zeroed().expect("memory")
}

#[test]
fn a_process_that_waits_in_turns_keeps_its_place() {
    let condition = condition();
    let place = condition.register();
    assert_eq!(condition.wait_a_while(&place, Instant::now()), Notified::Interrupted);
    assert_eq!(condition.waiting(), 1);
    assert_eq!(condition.notify(1), 1);
    assert_eq!(condition.wait_a_while(&place, Instant::now()), Notified::Yes);
    assert_eq!(condition.granted(), 1);
    assert!(condition.leave(&place));
    let place = condition.register();
    assert!(!condition.leave(&place));
    assert_eq!((condition.waiting(), condition.granted()), (0, 0));
}

#[test]
fn so_many_are_notified_in_the_order_in_which_they_came() {
    let condition = condition();
    let places: Vec<_> = (0..5).map(|_| condition.register()).collect();
    assert_eq!(condition.waiting(), 5);
    assert_eq!(condition.notify(2), 2);
    assert_eq!((condition.waiting(), condition.granted()), (3, 2));
    let past = Some(Instant::now());
    let notified: Vec<_> = places.iter().map(|p| condition.wait(p, past)).collect();
    let (yes, no) = (Notified::Yes, Notified::TimedOut);
    assert_eq!(notified, [yes, yes, no, no, no]);
    assert_eq!(condition.notify(10), 0);
}

#[test]
fn a_notification_of_the_dead_goes_to_the_living() {
    let condition = condition();
    let first = Child::run(|| {
        _ = condition.wait(&condition.register(), None);
    });
    until(|| condition.waiting() == 1);
    first.kill();
    let mine = condition.register();
    assert_eq!(condition.notify(1), 1);
    assert_eq!(condition.wait(&mine, far()), Notified::Yes);
    assert_eq!((condition.waiting(), condition.granted()), (0, 0));
}

#[test]
fn a_notification_of_one_that_dies_before_it_has_the_lock_goes_to_another() {
    let condition = condition();
    let first = Child::run(|| {
        // It ends on its way to the lock.
        let place = condition.register();
        while condition.wait_a_while(&place, far().expect("soon")) != Notified::Yes {}
    });
    until(|| condition.waiting() == 1);
    let mine = condition.register();
    assert_eq!(condition.notify(1), 1);
    first.join();
    assert_eq!(condition.wait(&mine, far()), Notified::Yes);
    assert_eq!((condition.waiting(), condition.granted()), (0, 0));
}

#[test]
fn a_place_that_is_withdrawn_passes_its_notification_on() {
    let condition = condition();
    let (first, second) = (condition.register(), condition.register());
    assert_eq!(condition.notify(1), 1);
    assert!(condition.withdraw(first));
    assert_eq!(condition.wait(&second, far()), Notified::Yes);
    assert!(!condition.withdraw(condition.register()));
}

#[test]
fn more_than_have_records_are_woken_all_the_same() {
    for threads in [RECORDS, RECORDS + 1, RECORDS + 10] {
        let condition = condition();
        let places: Vec<_> = (0..threads).map(|_| condition.register()).collect();
        assert_eq!(condition.waiting(), RECORDS);
        assert_eq!(condition.notify(usize::MAX), RECORDS);
        assert!(places.iter().all(|p| condition.wait(p, far()) == Notified::Yes));
    }
}

#[test]
fn records_of_the_dead_are_used_again() {
    let condition = condition();
    let waiter = Child::run(|| {
        let places: Vec<_> = (0..RECORDS).map(|_| condition.register()).collect();
        condition.wait(&places[0], None);
    });
    until(|| condition.waiting() == RECORDS);
    waiter.kill();
    assert!(matches!(condition.register(), Place(Kind::WaiterRecord(_))));
    assert_eq!(condition.waiting(), 1);
}

#[test]
fn records_of_the_dead_that_were_notified_are_used_again_and_their_grants_passed_on() {
    let condition = condition();
    let waiter = Child::run(|| {
        let places: Vec<_> = (1..RECORDS).map(|_| condition.register()).collect();
        condition.wait(&places[0], None);
    });
    until(|| condition.waiting() == RECORDS - 1);
    waiter.kill();
    let first = condition.register();
    assert_eq!(condition.notify(RECORDS - 1), RECORDS - 1);
    let second = condition.register();
    assert!(matches!(second, Place(Kind::WaiterRecord(_))));
    assert_eq!(condition.wait(&first, Some(Instant::now())), Notified::Yes);
    assert_eq!(condition.wait(&second, Some(Instant::now())), Notified::TimedOut);
}

#[test]
fn threads_wake_one_by_one() {
    let (condition, woken) = (condition(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let place = condition.register();
                assert_eq!(condition.wait(&place, far()), Notified::Yes);
                woken.fetch_add(1, Ordering::Relaxed);
            });
        }
        until(|| condition.waiting() == 4);
        for n in 1..=4 {
            assert_eq!(condition.notify(1), 1);
            until(|| woken.load(Ordering::Relaxed) == n);
        }
    });
}
