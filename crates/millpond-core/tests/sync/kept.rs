//! Deaths of processes that are about to end normally, while they see to it that they keep what they
//! hold.

use std::time::Instant;

use millpond_core::shm::holdings;
use millpond_core::sync::deadline::RECHECK_INTERVAL;
use millpond_core::sync::lock::Lock;
use millpond_core::sync::rlock::RLock;
use millpond_core::sync::robust::Taken;
use millpond_core::sync::semaphore::{MAX_PERMITS, Semaphore};

use crate::support::{Case, Child, far, now, shared, until};

pub(crate) const CASES: [Case; 9] = [
    Case { point: "robust word: kept", role: "owner", visit: owner },
    Case { point: "robust word: kept", role: "owner of two locks", visit: owner_of_two },
    Case {
        point: "semaphore: kept, still counted as its own",
        role: "biased_owner",
        visit: biased_owner,
    },
    Case { point: "semaphore: kept, still counted as its own", role: "holder", visit: holder },
    Case { point: "semaphore: kept, still counted as its own", role: "both", visit: both },
    Case {
        point: "semaphore: kept, still counted as the biased owner's",
        role: "biased_owner",
        visit: biased_owner,
    },
    Case {
        point: "semaphore: kept, still counted as the biased owner's",
        role: "both",
        visit: both,
    },
    Case { point: "semaphore: kept", role: "biased_owner", visit: biased_owner },
    Case { point: "semaphore: kept", role: "holder", visit: holder },
];

fn owner(point: &'static str) {
    let lock = shared::<RLock>();
    Child::dies_at(point, || {
        (0..2).for_each(|_| assert_eq!(lock.acquire(far()), Taken::Clean));
        holdings::keep();
    });
    assert_eq!(lock.acquire(Some(Instant::now() + 2 * RECHECK_INTERVAL)), Taken::TimedOut);
    assert!(lock.holder().is_some());
}

/// One is kept, and the other's next owner learns of the death.
fn owner_of_two(point: &'static str) {
    let locks = [shared::<Lock>(), shared::<Lock>()];
    Child::dies_at(point, || {
        locks.iter().for_each(|lock| assert!(lock.try_acquire()));
        holdings::keep();
    });
    let soon = Some(Instant::now() + 2 * RECHECK_INTERVAL);
    let taken = locks.each_ref().map(|lock| lock.acquire(soon));
    let deaths = taken.iter().filter(|taken| matches!(taken, Taken::OwnerDied(_))).count();
    assert!(deaths == 1 && taken.contains(&Taken::TimedOut), "{taken:?}");
    // Any process may release the other one.
    for lock in locks {
        lock.release().expect("held, or kept");
        assert_eq!(lock.acquire(far()), Taken::Clean);
    }
}

/// So many permits can be had, and of those that are not there so many can be released.
fn assert_kept(semaphore: &Semaphore, kept: u32, left: u32) {
    for _ in 0..left {
        assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
    }
    let soon = Some(Instant::now() + 2 * RECHECK_INTERVAL);
    assert_eq!(semaphore.acquire(soon), Ok(Taken::TimedOut));
    assert_eq!(semaphore.value(), 0);
    for _ in 0..kept + left {
        semaphore.release().expect("taken");
    }
    // They are permits still, not messages.
    Child::dies_at("semaphore: acquired", || _ = semaphore.acquire(far()));
    for _ in 0..kept + left {
        assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
    }
    assert_eq!(semaphore.acquire(now()), Ok(Taken::TimedOut));
}

fn biased_owner(point: &'static str) {
    let semaphore = shared::<Semaphore>();
    semaphore.start(3, MAX_PERMITS);
    Child::dies_at(point, || {
        (0..2).for_each(|_| assert!(semaphore.try_acquire() == Ok(true)));
        holdings::keep();
    });
    assert_kept(&semaphore, 2, 1);
}

fn holder(point: &'static str) {
    let semaphore = shared::<Semaphore>();
    semaphore.start(4, 4);
    assert!(semaphore.try_acquire() == Ok(true));
    Child::dies_at(point, || {
        (0..2).for_each(|_| assert!(semaphore.try_acquire() == Ok(true)));
        holdings::keep();
    });
    semaphore.release().expect("held");
    assert_kept(&semaphore, 2, 2);
}

/// It takes one permit before it is the biased owner, and one as that.
fn both(point: &'static str) {
    let (semaphore, go) = (shared::<Semaphore>(), shared::<Semaphore>());
    semaphore.start(4, 4);
    go.start(0, 1);
    assert!(semaphore.try_acquire() == Ok(true));
    let dying = Child::will_die_at(point, || {
        assert!(semaphore.try_acquire() == Ok(true));
        assert_eq!(go.acquire(far()), Ok(Taken::Clean));
        assert!(semaphore.try_acquire() == Ok(true));
        holdings::keep();
    });
    until(|| semaphore.value() == 2);
    semaphore.release().expect("held");
    go.release().expect("a message");
    dying.has_died();
    assert_kept(&semaphore, 2, 2);
}
