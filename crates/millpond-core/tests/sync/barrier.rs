//! Deaths at the steps of barriers: they cross or break, and can be used again.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::barrier::{Arrival, Barrier, Crossing};

use crate::support::{Case, Child, far, shared, until};

pub(crate) const CASES: [Case; 13] = [
    Case { point: "barrier: before arriving", role: "first party", visit: first_party },
    Case { point: "barrier: before arriving", role: "last party", visit: last_party },
    Case { point: "barrier: arrived", role: "first party", visit: first_party },
    Case { point: "barrier: arrived", role: "last party", visit: last_party },
    Case { point: "barrier: before sleep", role: "first party", visit: first_party },
    Case { point: "barrier: before opening", role: "one who acts", visit: last_party },
    Case { point: "barrier: opened, before wake", role: "one who acts", visit: opener },
    Case { point: "barrier: broken, before wake", role: "one who aborts", visit: aborter },
    Case { point: "barrier: broken, before wake", role: "one who gives up", visit: quitter },
    Case { point: "barrier: broken, before wake", role: "finder of a death", visit: finder },
    Case { point: "barrier: reset noted", role: "one who resets", visit: resetter },
    Case { point: "barrier: opened, before wake", role: "one who resets", visit: resetter },
    Case { point: "barrier: opened, before wake", role: "one who repairs", visit: repairer },
];

fn barrier(parties: u32) -> Shared<Barrier> {
    let barrier = shared::<Barrier>();
    barrier.start(parties).expect("places");
    barrier
}

fn cross(barrier: &Barrier) -> Crossing {
    loop {
        match barrier.arrive() {
            Arrival::Last { generation, .. } => return barrier.open(generation),
            Arrival::Early { generation, .. } => return barrier.wait(generation, far()),
            Arrival::Busy { generation } => _ = barrier.wait(generation, far()),
            Arrival::Broken => return Crossing::Broken,
        }
    }
}

/// A party that waits, and finds that it ends like this.
fn party(barrier: &Barrier, end: Crossing) -> Child {
    let before = barrier.waiting();
    let party = Child::run(|| cross(barrier) == end);
    until(|| barrier.waiting() > before);
    party.sleeps();
    party
}

/// After a reset so many parties cross.
fn assert_usable(barrier: &Barrier) {
    barrier.reset();
    assert!(!barrier.is_broken());
    let others = 1..barrier.parties();
    let others: Vec<_> =
        others.map(|_| Child::run(|| cross(barrier) == Crossing::Crossed)).collect();
    assert_eq!(cross(barrier), Crossing::Crossed);
    others.into_iter().for_each(Child::ends_well);
}

fn first_party(point: &'static str) {
    let barrier = barrier(3);
    Child::dies_at(point, || _ = cross(&barrier));
    assert_eq!(cross(&barrier), Crossing::Broken);
    assert_usable(&barrier);
}

fn last_party(point: &'static str) {
    let barrier = barrier(2);
    let other = party(&barrier, Crossing::Broken);
    Child::dies_at(point, || _ = cross(&barrier));
    other.ends_well();
    assert_usable(&barrier);
}

fn opener(point: &'static str) {
    let barrier = barrier(2);
    let other = party(&barrier, Crossing::Crossed);
    Child::dies_at(point, || _ = cross(&barrier));
    other.ends_well();
    // The dead one is not waited for a second time.
    assert_eq!(cross(&barrier), Crossing::Broken);
    assert_usable(&barrier);
}

fn aborter(point: &'static str) {
    let barrier = barrier(2);
    let other = party(&barrier, Crossing::Broken);
    Child::dies_at(point, || barrier.abort());
    other.ends_well();
    assert_usable(&barrier);
}

fn quitter(point: &'static str) {
    let barrier = barrier(3);
    let other = party(&barrier, Crossing::Broken);
    Child::dies_at(point, || match barrier.arrive() {
        Arrival::Early { generation, .. } => _ = barrier.give_up(generation),
        other => panic!("{other:?}"),
    });
    other.ends_well();
    assert_usable(&barrier);
}

fn finder(point: &'static str) {
    let barrier = barrier(3);
    let finder = Child::will_die_at(point, || _ = cross(&barrier));
    until(|| barrier.waiting() == 1);
    let dead = party(&barrier, Crossing::Broken);
    dead.kill();
    finder.has_died();
    assert_eq!(cross(&barrier), Crossing::Broken);
    assert_usable(&barrier);
}

fn resetter(point: &'static str) {
    let barrier = barrier(2);
    let other = party(&barrier, Crossing::Broken);
    Child::dies_at(point, || barrier.reset());
    other.ends_well();
    assert_usable(&barrier);
}

fn repairer(point: &'static str) {
    let barrier = barrier(2);
    let generation = match barrier.arrive() {
        Arrival::Early { generation, .. } => generation,
        other => panic!("{other:?}"),
    };
    Child::dies_at("barrier: reset noted", || barrier.reset());
    // The next one to enter ends what the other had begun.
    Child::dies_at(point, || barrier.abort());
    assert_eq!(barrier.wait(generation, far()), Crossing::Broken);
    assert_usable(&barrier);
}
