//! Deaths of processes that release a lock in a panic, and of next holders that are told of it.

use millpond_core::sync::lock::Lock;
use millpond_core::sync::poison::Poisoned;
use millpond_core::sync::rlock::RLock;

use crate::support::{Case, Child, far, shared};

pub(crate) const CASES: [Case; 3] = [
    Case { point: "poison: noted", role: "owner", visit: owner },
    Case { point: "poison: noted", role: "owner of a reentrant lock", visit: reentrant_owner },
    Case { point: "poison: taken", role: "next", visit: next },
];

/// The next one learns of this death rather than of the panic, and the one after that of nothing.
fn assert_one_death(lock: &Lock, pid: u32) {
    let held = lock.hold(far());
    assert!(matches!(held, Some(Err(Poisoned::Died(dead))) if dead.pid() == pid), "{held:?}");
    lock.let_go(false);
    assert_eq!(lock.hold(far()), Some(Ok(())));
    lock.let_go(false);
}

fn owner(point: &'static str) {
    let lock = shared::<Lock>();
    let pid = Child::dies_at(point, || {
        assert_eq!(lock.hold(far()), Some(Ok(())));
        lock.let_go(true);
    });
    assert_one_death(&lock, pid);
}

fn reentrant_owner(point: &'static str) {
    let lock = shared::<RLock>();
    let pid = Child::dies_at(point, || {
        (0..2).for_each(|_| assert_eq!(lock.hold(far()), Some(Ok(()))));
        lock.let_go(true);
    });
    let held = lock.hold(far());
    assert!(matches!(held, Some(Err(Poisoned::Died(dead))) if dead.pid() == pid), "{held:?}");
    lock.let_go(false);
    assert_eq!(lock.hold(far()), Some(Ok(())));
}

fn next(point: &'static str) {
    let lock = shared::<Lock>();
    assert_eq!(lock.hold(far()), Some(Ok(())));
    lock.let_go(true);
    let pid = Child::dies_at(point, || _ = lock.hold(far()));
    assert_one_death(&lock, pid);
}
