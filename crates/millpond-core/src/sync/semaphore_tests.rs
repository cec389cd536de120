//! Tests of the semaphore.

use super::*;
use crate::shm::shared::Shared;
use crate::sync::testing::{Child, far, sleep_for_ever, until};

fn semaphore(value: u32, bound: u32) -> Shared<Semaphore> {
    let semaphore = Shared::<Semaphore>::zeroed().expect("memory");
    semaphore.start(value, bound);
    semaphore
}

#[test]
fn permits_are_counted() {
    let semaphore = semaphore(2, 2);
    assert!(
        semaphore.try_acquire() == Ok(true)
            && semaphore.try_acquire() == Ok(true)
            && semaphore.try_acquire() == Ok(false)
    );
    assert_eq!(semaphore.acquire(Some(Instant::now())), Ok(Taken::TimedOut));
    semaphore.release().expect("one back");
    semaphore.release().expect("two back");
    assert_eq!(semaphore.release(), Err(Misuse::TooManyReleases));
    assert_eq!(semaphore.value(), 2);
}

#[test]
fn permits_of_the_dead_come_back() {
    let semaphore = semaphore(3, MAX_PERMITS);
    let holder = Child::run(|| {
        (0..3).for_each(|_| assert!(semaphore.try_acquire() == Ok(true)));
        sleep_for_ever();
    });
    until(|| semaphore.value() == 0);
    holder.kill();
    assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
    assert_eq!(semaphore.value(), 2);
}

#[test]
fn what_signals_is_not_given_back() {
    let semaphore = semaphore(0, MAX_PERMITS);
    let consumer = Child::run(|| {
        assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
        sleep_for_ever();
    });
    semaphore.release().expect("a message");
    until(|| semaphore.value() == 0);
    consumer.kill();
    let soon = Some(Instant::now() + 3 * RECHECK_INTERVAL);
    assert_eq!(semaphore.acquire(soon), Ok(Taken::TimedOut));
}

#[test]
fn permits_of_any_number_of_holders_come_back() {
    // One is the biased owner.
    let at_first = AT_FIRST + 1;
    for crowd in [1, 2, at_first, at_first + 1, 300] {
        let (semaphore, ready) = (semaphore(300, 300), semaphore(0, MAX_PERMITS));
        let holders: Vec<_> = (0..crowd)
            .map(|_| {
                Child::run(|| {
                    assert!(semaphore.try_acquire() == Ok(true));
                    ready.release().expect("a message");
                    sleep_for_ever();
                })
            })
            .collect();
        (0..crowd).for_each(|_| assert_eq!(ready.acquire(far()), Ok(Taken::Clean)));
        assert_eq!(semaphore.value(), 300 - crowd as u32);
        holders.iter().for_each(Child::kill);
        semaphore.give_back();
        assert_eq!(semaphore.value(), 300);
    }
}

/// A semaphore of which a child holds two permits by the word and one by every place, as if so many
/// processes held them, and `free` are left. The child releases one of the word's when told to go.
fn crowded(free: u32, go: &Semaphore) -> (Shared<Semaphore>, Child) {
    let total = HOLDERS as u32 + 2 + free;
    let (semaphore, ready) = (semaphore(total, total), semaphore(0, MAX_PERMITS));
    let child = Child::run(|| {
        (0..2).for_each(|_| assert_eq!(semaphore.try_acquire(), Ok(true)));
        ready.release().expect("a message");
        assert_eq!(go.acquire(far()), Ok(Taken::Clean));
        semaphore.release().expect("held");
        sleep_for_ever();
    });
    assert_eq!(ready.acquire(far()), Ok(Taken::Clean));
    let name = semaphore.biased_owner.load(Ordering::Relaxed);
    let guard = semaphore.enter(ProcessId::current());
    for _ in 0..HOLDERS {
        let place = semaphore.place_for(guard.me).expect("a place");
        place.process.store(name, Ordering::Relaxed);
        add(&place.count, 1);
    }
    guard.settle(guard.held, false);
    drop(guard);
    assert_eq!(semaphore.value(), free);
    (semaphore, child)
}

#[test]
fn beyond_the_last_place_there_is_an_error() {
    let go = semaphore(0, MAX_PERMITS);
    let (semaphore, crowd) = crowded(10, &go);
    let refused = Err(NoPlace::TooManyHolders);
    assert_eq!((semaphore.try_acquire(), semaphore.try_at_once()), (refused, false));
    assert_eq!(semaphore.attempt(), refused.map(|_| Taken::Clean));
    assert_eq!(semaphore.acquire(far()), refused.map(|_| Taken::Clean));
    assert_eq!(semaphore.value(), 10);
    // As if one of them had released its permit.
    semaphore.holders[7].count.store(0, Ordering::Relaxed);
    (0..2).for_each(|_| assert_eq!(semaphore.try_acquire(), Ok(true)));
    assert_eq!((semaphore.value(), semaphore.held_here()), (9, 2));
    Child::check(|| assert_eq!(semaphore.acquire(far()), refused.map(|_| Taken::Clean)));
    semaphore.release().expect("held");
    crowd.kill();
    Child::check(|| assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean)));
    semaphore.give_back();
    assert_eq!(semaphore.value(), HOLDERS as u32 + 11);
}

#[test]
fn those_that_wait_are_told_that_there_is_no_place() {
    let (go, told) = (semaphore(0, MAX_PERMITS), semaphore(0, MAX_PERMITS));
    let (semaphore, _crowd) = crowded(0, &go);
    let waiters = [(), ()].map(|()| {
        Child::run(|| {
            assert_eq!(semaphore.acquire(far()), Err(NoPlace::TooManyHolders));
            told.release().expect("a message");
        })
    });
    until(|| semaphore.waiting.has_sleepers());
    go.release().expect("a message");
    waiters.iter().for_each(|_| assert_eq!(told.acquire(far()), Ok(Taken::Clean)));
    assert_eq!(semaphore.value(), 1);
}

#[test]
fn everybody_gets_through() {
    let semaphore = semaphore(1, MAX_PERMITS);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
                    semaphore.release().expect("held");
                }
            });
        }
    });
    assert_eq!(semaphore.value(), 1);
}
