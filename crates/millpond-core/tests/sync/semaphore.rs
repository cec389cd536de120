//! Deaths at the steps of semaphores and of the wait queue at which their waiters wait.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::robust::Taken;
use millpond_core::sync::semaphore::{MAX_PERMITS, Semaphore};

use crate::support::{Case, Child, far, now, shared, until};

pub(crate) const CASES: [Case; 21] = [
    Case { point: "semaphore: barred", role: "taker", visit: taker },
    Case { point: "semaphore: entered to acquire", role: "taker", visit: taker },
    Case { point: "semaphore: biased owner named", role: "taker", visit: taker },
    Case { point: "semaphore: acquired", role: "taker", visit: taker },
    Case { point: "semaphore: place named", role: "second taker", visit: second_taker },
    Case { point: "semaphore: counted", role: "second taker", visit: second_taker },
    Case { point: "semaphore: acquired", role: "second taker", visit: second_taker },
    Case {
        point: "semaphore: acquired on the fast path",
        role: "biased_owner",
        visit: biased_owner,
    },
    Case {
        point: "semaphore: released on the fast path",
        role: "biased_owner",
        visit: biased_owner,
    },
    Case { point: "semaphore: entered to release", role: "giver", visit: giver },
    Case { point: "semaphore: uncounted", role: "giver", visit: giver },
    Case { point: "semaphore: released, before wake", role: "giver", visit: giver },
    Case { point: "wait queue: admitted, before wake", role: "giver", visit: giver },
    Case { point: "semaphore: signals noted", role: "signaller", visit: signaller },
    Case { point: "semaphore: released, before wake", role: "signaller", visit: signaller },
    Case { point: "semaphore: before sleep", role: "waiter", visit: waiter },
    Case { point: "wait queue: before sleep", role: "waiter", visit: waiter },
    Case {
        point: "semaphore: gave back the biased owner's, before wake",
        role: "finder",
        visit: finder_of_biased_owner,
    },
    Case { point: "semaphore: gave back, before wake", role: "finder", visit: finder_of_holder },
    Case { point: "semaphore: barred", role: "finder", visit: finder_of_biased_owner },
    Case { point: "semaphore: barred", role: "taker that is stopped", visit: stopped },
];

fn semaphore(permits: u32) -> Shared<Semaphore> {
    let semaphore = shared::<Semaphore>();
    semaphore.start(permits, MAX_PERMITS);
    semaphore
}

/// So many permits can be had, and not one more.
fn assert_permits(semaphore: &Semaphore, permits: u32) {
    for _ in 0..permits {
        assert_eq!(semaphore.acquire(far()), Ok(Taken::Clean));
    }
    assert_eq!(semaphore.acquire(now()), Ok(Taken::TimedOut));
}

fn taker(point: &'static str) {
    let semaphore = semaphore(3);
    Child::dies_at(point, || _ = semaphore.acquire(far()));
    assert_permits(&semaphore, 3);
}

/// Its permit is counted in the table, as the biased owner has one too.
fn second_taker(point: &'static str) {
    let semaphore = semaphore(3);
    assert!(semaphore.try_acquire() == Ok(true));
    Child::dies_at(point, || _ = semaphore.acquire(far()));
    semaphore.release().expect("held");
    assert_permits(&semaphore, 3);
}

/// Others need not wait for it.
fn stopped(point: &'static str) {
    let semaphore = semaphore(3);
    assert!(semaphore.try_acquire() == Ok(true));
    let stopped = Child::stops_at(point, || {
        _ = semaphore.acquire(far());
        semaphore.release().expect("held");
    });
    assert!(!semaphore.try_at_once() && semaphore.try_acquire() == Ok(false));
    assert_eq!(semaphore.release_at_once(), None);
    assert_eq!(semaphore.acquire(now()), Ok(Taken::TimedOut));
    stopped.goes_on();
    assert_eq!(semaphore.release_at_once(), Some(Ok(())));
    assert_permits(&semaphore, 3);
}

fn biased_owner(point: &'static str) {
    let semaphore = semaphore(3);
    Child::dies_at(point, || {
        for _ in 0..2 {
            _ = semaphore.acquire(far());
            semaphore.release().expect("held");
        }
    });
    assert_permits(&semaphore, 3);
}

fn giver(point: &'static str) {
    let (semaphore, go) = (semaphore(1), semaphore(0));
    let giver = Child::will_die_at(point, || {
        _ = semaphore.acquire(far());
        _ = go.acquire(far());
        semaphore.release().expect("held");
    });
    until(|| semaphore.value() == 0);
    let waiter = Child::run(|| semaphore.acquire(far()) == Ok(Taken::Clean));
    waiter.sleeps();
    go.release().expect("a message");
    giver.has_died();
    waiter.ends_well();
    // The waiter has ended with its permit.
    assert_permits(&semaphore, 1);
}

fn signaller(point: &'static str) {
    let semaphore = semaphore(1);
    // It releases what it does not hold.
    Child::dies_at(point, || semaphore.release().expect("within the bound"));
    // The release counts once its store is made.
    assert_permits(&semaphore, if point == "semaphore: signals noted" { 1 } else { 2 });
}

fn waiter(point: &'static str) {
    let semaphore = semaphore(1);
    assert!(semaphore.try_acquire() == Ok(true));
    Child::dies_at(point, || _ = semaphore.acquire(far()));
    let other = Child::run(|| semaphore.acquire(far()) == Ok(Taken::Clean));
    other.sleeps();
    semaphore.release().expect("held");
    other.ends_well();
    assert_permits(&semaphore, 1);
}

fn finder_of_biased_owner(point: &'static str) {
    let semaphore = semaphore(2);
    Child::dies_at("semaphore: acquired", || _ = semaphore.acquire(far()));
    assert!(semaphore.try_acquire() == Ok(true));
    Child::dies_at(point, || _ = semaphore.acquire(far()));
    assert_permits(&semaphore, 1);
}

fn finder_of_holder(point: &'static str) {
    let semaphore = semaphore(2);
    assert!(semaphore.try_acquire() == Ok(true));
    Child::dies_at("semaphore: acquired", || _ = semaphore.acquire(far()));
    Child::dies_at(point, || _ = semaphore.acquire(far()));
    assert_permits(&semaphore, 1);
}
