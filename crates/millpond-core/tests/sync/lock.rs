//! Deaths at the steps of locks, and of the robust word that they and all guards are made of.

use std::time::Instant;

use millpond_core::sync::deadline::RECHECK_INTERVAL;
use millpond_core::sync::event::Event;
use millpond_core::sync::lock::Lock;
use millpond_core::sync::rlock::RLock;
use millpond_core::sync::robust::Taken;

use crate::support::{Case, Child, far, shared, until};

pub(crate) const CASES: [Case; 10] = [
    Case { point: "lock: taken", role: "owner", visit: owner },
    Case { point: "lock: before release", role: "owner", visit: owner },
    Case { point: "rlock: taken", role: "owner", visit: reentrant_owner },
    Case { point: "rlock: counted", role: "owner", visit: reentrant_owner },
    Case { point: "rlock: before release", role: "owner", visit: reentrant_owner },
    Case { point: "rlock: taken briefly", role: "owner", visit: brief_owner },
    Case { point: "robust word: before sleep", role: "waiter", visit: waiter },
    Case { point: "robust word: released, before wake", role: "owner", visit: releaser },
    Case { point: "robust word: taken from the dead", role: "heir", visit: heir },
    Case { point: "robust word: bar taken away, before wake", role: "owner", visit: unbarrer },
];

/// The next one learns of this death, and the one after that of none.
fn assert_one_death(lock: &Lock, pid: u32) {
    let taken = lock.acquire(far());
    assert!(matches!(taken, Taken::OwnerDied(dead) if dead.pid() == pid), "{taken:?}");
    lock.release().expect("held");
    assert_no_death(lock);
}

fn assert_no_death(lock: &Lock) {
    assert_eq!(lock.acquire(far()), Taken::Clean);
    lock.release().expect("held");
    assert!(lock.try_acquire());
    lock.release().expect("held");
}

fn owner(point: &'static str) {
    let lock = shared::<Lock>();
    let pid = Child::dies_at(point, || {
        lock.acquire(far());
        lock.release().expect("held");
    });
    assert_one_death(&lock, pid);
}

fn reentrant_owner(point: &'static str) {
    let lock = shared::<RLock>();
    let pid = Child::dies_at(point, || {
        (0..3).for_each(|_| assert_eq!(lock.acquire(far()), Taken::Clean));
        (0..3).for_each(|_| lock.release().expect("held"));
    });
    assert!(!lock.is_mine());
    let taken = lock.acquire(far());
    assert!(matches!(taken, Taken::OwnerDied(dead) if dead.pid() == pid), "{taken:?}");
    assert!(lock.is_mine());
    assert_eq!(lock.release_all(), Ok(1));
    assert_eq!(lock.acquire(far()), Taken::Clean);
}

fn brief_owner(point: &'static str) {
    let lock = shared::<RLock>();
    let pid = Child::dies_at(point, || _ = lock.briefly(|| ()));
    assert_eq!(lock.briefly(|| ()), None);
    let taken = lock.acquire(far());
    assert!(matches!(taken, Taken::OwnerDied(dead) if dead.pid() == pid), "{taken:?}");
    assert_eq!(lock.release_all(), Ok(1));
    assert_eq!(lock.briefly(|| ()), Some(()));
}

fn waiter(point: &'static str) {
    let lock = shared::<Lock>();
    assert!(lock.try_acquire());
    Child::dies_at(point, || _ = lock.acquire(far()));
    lock.release().expect("held");
    assert_no_death(&lock);
}

fn releaser(point: &'static str) {
    let lock = shared::<Lock>();
    assert!(lock.try_acquire());
    let waiter = Child::run(|| lock.acquire(far()) == Taken::Clean && lock.release().is_ok());
    waiter.sleeps();
    // A lock may be released by another than its owner.
    Child::dies_at(point, || lock.release().expect("held"));
    waiter.ends_well();
    assert_no_death(&lock);
}

fn heir(point: &'static str) {
    let lock = shared::<Lock>();
    Child::dies_at("lock: taken", || _ = lock.try_acquire());
    let pid = Child::dies_at(point, || _ = lock.acquire(far()));
    assert_one_death(&lock, pid);
}

fn unbarrer(point: &'static str) {
    let (lock, gave_up) = (shared::<Lock>(), shared::<Event>());
    let owner = Child::will_die_at(point, || {
        lock.acquire(far());
        _ = gave_up.wait(far());
        lock.release().expect("held");
    });
    until(|| lock.holder().is_some());
    let soon = Some(Instant::now() + 3 * RECHECK_INTERVAL);
    assert_eq!(lock.acquire(soon), Taken::TimedOut);
    gave_up.set();
    owner.has_died();
    assert_no_death(&lock);
}
