//! Tests of `holdings.rs`.

use super::*;
use crate::shm::shared::Shared;
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::lock::Lock;
use crate::sync::mutex::Mutex;
use crate::sync::rlock::RLock;
use crate::sync::robust::Taken;
use crate::sync::semaphore::Semaphore;
use crate::sync::testing::{Child, far, sleep_for_ever, until};
use std::time::Instant;

fn lock() -> Shared<Lock> {
    Shared::zeroed().expect("memory")
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + 2 * RECHECK_INTERVAL)
}

#[test]
fn what_a_process_keeps_does_not_come_back() {
    let (lock, rlock) = (lock(), Shared::<RLock>::zeroed().expect("memory"));
    let mutex = Mutex::new(1_u64).expect("memory");
    let semaphore = Shared::<Semaphore>::zeroed().expect("memory");
    semaphore.start(3, 3);
    Child::run(|| {
        assert!(lock.try_acquire() && rlock.try_acquire() && rlock.try_acquire());
        assert!(semaphore.try_acquire() == Ok(true) && semaphore.try_acquire() == Ok(true));
        std::mem::forget(mutex.lock(None));
        keep();
        // It may go on for a while.
        rlock.release().expect("mine");
        keep();
    })
    .join();
    assert_eq!(lock.acquire(soon()), Taken::TimedOut);
    assert_eq!(rlock.acquire(soon()), Taken::TimedOut);
    assert!(mutex.lock(soon()).is_err() && mutex.try_lock().is_err());
    assert_eq!(semaphore.acquire(soon()), Ok(Taken::Clean));
    assert_eq!(semaphore.acquire(soon()), Ok(Taken::TimedOut));
    lock.release().expect("kept");
    assert_eq!(lock.acquire(far()), Taken::Clean);
}

#[test]
fn what_was_released_since_is_not_kept() {
    let lock = lock();
    Child::run(|| {
        assert!(lock.try_acquire());
        keep();
        lock.release().expect("held");
        assert!(lock.try_acquire());
    })
    .join();
    assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
}

#[test]
fn a_lock_that_is_held_briefly_is_not_kept() {
    let lock = Shared::<RLock>::zeroed().expect("memory");
    assert_eq!(lock.briefly(|| lock.is_held_by(ProcessId::current())), Some(false));
}

#[test]
fn what_is_held_without_a_handle_is_kept_at_the_end_and_not_before() {
    let (ends, dies) = (lock(), lock());
    let hold = |lock: &Shared<Lock>| {
        let handle = Shared::<Lock>::open(&lock.wire_handle().encode(), None).expect("memory");
        assert!(handle.try_acquire());
    };
    Child::run(|| {
        hold(&ends);
        keep();
    })
    .join();
    let killed = Child::run(|| {
        hold(&dies);
        sleep_for_ever();
    });
    until(|| dies.holder().is_some());
    killed.kill();
    assert_eq!(ends.acquire(soon()), Taken::TimedOut);
    assert!(matches!(dies.acquire(far()), Taken::OwnerDied(_)));
}

/// Acquires each lock by a handle that is dropped then.
fn leave(locks: &[Shared<Lock>], and_then: impl Fn(&Lock)) {
    for lock in locks {
        let handle = Shared::<Lock>::open(&lock.wire_handle().encode(), None).expect("memory");
        assert!(handle.try_acquire());
        drop(handle);
        and_then(lock);
    }
}

fn left() -> usize {
    OWN.of(&mut tables::lock()).left.len()
}

/// A child that says by a lock that all is well.
fn check(is_well: impl FnOnce() -> bool) -> Child {
    let well = lock();
    let child = Child::run(|| {
        if is_well() {
            well.try_acquire();
        }
        sleep_for_ever();
    });
    until(|| well.holder().is_some());
    child
}

#[test]
fn what_was_left_and_released_makes_room() {
    let locks: Vec<_> = (0..5 * MAX_LEFT / 2).map(|_| lock()).collect();
    check(|| {
        leave(&locks, |lock| lock.release().expect("held"));
        // All are free, so none was kept.
        left() <= MAX_LEFT && locks.iter().all(|lock| lock.try_acquire())
    });
}

#[test]
fn of_too_many_that_are_held_without_a_handle_the_oldest_are_kept() {
    let locks: Vec<_> = (0..=MAX_LEFT).map(|_| lock()).collect();
    let child = check(|| {
        leave(&locks, |_| ());
        left() <= MAX_LEFT
    });
    child.kill();
    assert!(matches!(locks[MAX_LEFT].acquire(far()), Taken::OwnerDied(_)));
    assert_eq!(locks[0].acquire(soon()), Taken::TimedOut);
}

#[test]
fn a_lock_that_nobody_else_knows_is_forgotten() {
    check(|| {
        let before = left();
        let own = lock();
        assert!(own.try_acquire());
        drop(own);
        left() == before
    });
}
