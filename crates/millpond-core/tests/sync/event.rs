//! Deaths at the steps of events.

use millpond_core::sync::event::Event;

use crate::support::{Case, Child, far, shared};

pub(crate) const CASES: [Case; 2] = [
    Case { point: "event: set, before wake", role: "setter", visit: setter },
    Case { point: "event: before sleep", role: "waiter", visit: waiter },
];

fn setter(point: &'static str) {
    let event = shared::<Event>();
    let waiter = Child::run(|| event.wait(far()) == Ok(true));
    waiter.sleeps();
    Child::dies_at(point, || event.set());
    waiter.ends_well();
    assert!(event.is_set());
}

fn waiter(point: &'static str) {
    let event = shared::<Event>();
    Child::dies_at(point, || _ = event.wait(far()));
    let other = Child::run(|| event.wait(far()) == Ok(true));
    other.sleeps();
    event.set();
    other.ends_well();
}
