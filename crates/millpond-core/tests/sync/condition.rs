//! Deaths at the steps of conditions.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::condition::{Condition, Notified, RECORDS};
use millpond_core::sync::event::Event;
use millpond_core::sync::lock::Lock;

use crate::support::{Case, Child, far, shared, until};

pub(crate) const CASES: [Case; 8] = [
    Case { point: "condition: before registering", role: "waiter", visit: comer },
    Case { point: "condition: before sleep", role: "waiter", visit: sleeper },
    Case { point: "condition: granted, before wake", role: "notifier", visit: notifier },
    Case { point: "condition: before acknowledging", role: "waiter", visit: notified },
    Case { point: "condition: before leaving", role: "waiter with the lock", visit: leaver },
    Case { point: "condition: took a grant", role: "heir of a grant", visit: heir },
    Case { point: "condition: passed on", role: "one who withdraws", visit: withdrawer },
    Case { point: "condition: before freeing records of the dead", role: "waiter", visit: burier },
];

/// A condition and its lock, of which owners may have died.
struct Pair {
    lock: Shared<Lock>,
    condition: Shared<Condition>,
}

impl Pair {
    fn new() -> Self {
        Self { lock: shared(), condition: shared() }
    }

    fn locked<R>(&self, run: impl FnOnce() -> R) -> R {
        self.lock.acquire(far());
        let result = run();
        self.lock.release().expect("held");
        result
    }

    fn wait(&self) -> bool {
        let place = self.locked(|| self.condition.register());
        let notified = self.condition.wait(&place, far());
        self.locked(|| notified == Notified::Yes)
    }

    fn notify(&self, count: usize) -> usize {
        self.locked(|| self.condition.notify(count))
    }

    /// Another waiting child; returns once it waits.
    fn waiter(&self) -> Child {
        let before = self.condition.waiting();
        let waiter = Child::run(|| self.wait());
        until(|| self.condition.waiting() > before);
        waiter
    }

    /// One more can wait and be notified.
    fn assert_usable(&self) {
        let waiter = self.waiter();
        waiter.sleeps();
        assert!(self.notify(1) <= 1);
        waiter.ends_well();
    }
}

fn comer(point: &'static str) {
    let pair = Pair::new();
    Child::dies_at(point, || _ = pair.wait());
    assert_eq!(pair.condition.waiting(), 0);
    pair.assert_usable();
}

fn sleeper(point: &'static str) {
    let pair = Pair::new();
    Child::dies_at(point, || _ = pair.wait());
    assert_eq!(pair.condition.waiting(), 1);
    // The notification goes to the dead, and from there to the living.
    pair.assert_usable();
}

fn notifier(point: &'static str) {
    let pair = Pair::new();
    let (first, second) = (pair.waiter(), pair.waiter());
    first.sleeps();
    second.sleeps();
    Child::dies_at(point, || _ = pair.notify(2));
    first.ends_well();
    // Whom the notifier did not come to is notified by the next.
    assert_eq!((pair.condition.waiting(), pair.notify(1)), (1, 1));
    second.ends_well();
}

fn notified(point: &'static str) {
    let pair = Pair::new();
    let victim = Child::will_die_at(point, || _ = pair.wait());
    until(|| pair.condition.waiting() == 1);
    let other = pair.waiter();
    assert_eq!(pair.notify(1), 1);
    victim.has_died();
    other.ends_well();
    pair.assert_usable();
}

fn leaver(point: &'static str) {
    let pair = Pair::new();
    let victim = Child::will_die_at(point, || {
        let place = pair.locked(|| pair.condition.register());
        let until = far().expect("soon");
        assert_eq!(pair.condition.wait_a_while(&place, until), Notified::Yes);
        pair.locked(|| pair.condition.leave(&place));
    });
    until(|| pair.condition.waiting() == 1);
    let other = pair.waiter();
    assert_eq!(pair.notify(1), 1);
    victim.has_died();
    other.ends_well();
    pair.assert_usable();
}

fn heir(point: &'static str) {
    let pair = Pair::new();
    let first = pair.waiter();
    first.kill();
    let heir = Child::will_die_at(point, || _ = pair.wait());
    until(|| pair.condition.waiting() == 2);
    assert_eq!(pair.notify(1), 1);
    heir.has_died();
    // It had been notified when it died, and the next notification is for later waiters.
    pair.assert_usable();
}

fn withdrawer(point: &'static str) {
    let pair = Pair::new();
    let notified = shared::<Event>();
    let victim = Child::will_die_at(point, || {
        let place = pair.locked(|| pair.condition.register());
        _ = notified.wait(far());
        pair.condition.withdraw(place);
    });
    until(|| pair.condition.waiting() == 1);
    let other = pair.waiter();
    assert_eq!(pair.notify(1), 1);
    notified.set();
    victim.has_died();
    other.ends_well();
    pair.assert_usable();
}

fn burier(point: &'static str) {
    let pair = Pair::new();
    let dead = Child::run(|| {
        let places: Vec<_> = (0..RECORDS).map(|_| pair.condition.register()).collect();
        pair.condition.wait(&places[0], far()) == Notified::Yes
    });
    until(|| pair.condition.waiting() == RECORDS);
    dead.kill();
    assert_eq!(pair.notify(RECORDS), RECORDS);
    Child::dies_at(point, || _ = pair.wait());
    pair.assert_usable();
}
