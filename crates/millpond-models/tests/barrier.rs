//! Models of the barrier.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use millpond_models::model::{Model, Process};
use millpond_models::sync::barrier::{Arrival, Barrier, Crossing};

fn barrier(parties: u32) -> Arc<Barrier> {
    let barrier = Barrier::default();
    barrier.start(parties).expect("places");
    Arc::new(barrier)
}

fn cross(barrier: &Barrier) -> Crossing {
    loop {
        match barrier.arrive() {
            Arrival::Last { generation, .. } => return barrier.open(generation),
            Arrival::Early { generation, .. } => return barrier.wait(generation, None),
            Arrival::Busy { generation } => _ = barrier.wait(generation, None),
            Arrival::Broken => return Crossing::Broken,
        }
    }
}

struct Numbers([UnsafeCell<u32>; 2]);

// SAFETY: loom checks that the barrier orders the accesses.
unsafe impl Sync for Numbers {}
// SAFETY: as above.
unsafe impl Send for Numbers {}

#[test]
fn parties_cross_together_again_and_again_and_see_what_the_others_did() {
    Model::of(2, 3).run(|| {
        let barrier = barrier(2);
        let numbers = Arc::new(Numbers([UnsafeCell::new(0), UnsafeCell::new(0)]));
        let party = |mine: usize, barrier: &Barrier, numbers: &Numbers| {
            for round in 1..=2 {
                // SAFETY: the other one reads after the crossing and before the next.
                numbers.0[mine].with_mut(|number| unsafe { *number = round });
                assert_eq!(cross(barrier), Crossing::Crossed);
                // SAFETY: the other one writes again after the next crossing.
                let other = numbers.0[1 - mine].with(|number| unsafe { *number });
                assert_eq!(other, round);
                assert_eq!(cross(barrier), Crossing::Crossed);
            }
        };
        let other = {
            let (barrier, numbers) = (Arc::clone(&barrier), Arc::clone(&numbers));
            Process::run(2, move || party(1, &barrier, &numbers))
        };
        party(0, &barrier, &numbers);
        assert_eq!(other.join(), Some(()));
    });
}

#[test]
fn three_parties_cross() {
    Model::of(1, 2).run(|| {
        let barrier = barrier(3);
        let others = [2, 3].map(|number| {
            let barrier = Arc::clone(&barrier);
            Process::run(number, move || cross(&barrier))
        });
        assert_eq!(cross(&barrier), Crossing::Crossed);
        others.into_iter().for_each(|other| assert_eq!(other.join(), Some(Crossing::Crossed)));
    });
}

#[test]
fn a_reset_never_splits_a_crossing() {
    Model::of(2, 4).run(|| {
        let barrier = barrier(2);
        let other = {
            let barrier = Arc::clone(&barrier);
            Process::run(2, move || match barrier.arrive() {
                Arrival::Last { generation, .. } => barrier.open(generation),
                Arrival::Early { generation, .. } => barrier.wait(generation, None),
                // The first one has given up by now.
                Arrival::Broken => Crossing::Broken,
                arrival => panic!("{arrival:?}"),
            })
        };
        barrier.reset();
        let mine = match barrier.arrive() {
            Arrival::Last { generation, .. } => barrier.open(generation),
            // The other one was sent away by the reset, or comes yet.
            Arrival::Early { generation, .. } => {
                barrier.give_up(generation).unwrap_or(Crossing::Broken)
            }
            arrival => panic!("{arrival:?}"),
        };
        let other = other.join();
        // Both crossed, or neither did.
        assert_eq!(mine == Crossing::Crossed, other == Some(Crossing::Crossed));
    });
}

#[test]
fn an_action_that_a_reset_overtook_opens_nothing() {
    Model::of(2, 3).run(|| {
        let barrier = barrier(2);
        let Arrival::Early { .. } = barrier.arrive() else {
            panic!("the first of two");
        };
        let actor = {
            let barrier = Arc::clone(&barrier);
            Process::run(2, move || match barrier.arrive() {
                Arrival::Last { generation, .. } => {
                    (barrier.open(generation) == Crossing::Crossed).then_some(generation)
                }
                _ => None,
            })
        };
        let next = {
            let barrier = Arc::clone(&barrier);
            Process::run(3, move || {
                barrier.reset();
                match barrier.arrive() {
                    Arrival::Early { generation, .. } => {
                        let end = barrier.give_up(generation);
                        (end == Some(Crossing::Crossed)).then_some(generation)
                    }
                    _ => None,
                }
            })
        };
        let (opened, crossed) = (actor.join().expect("it lives"), next.join().expect("it lives"));
        assert!(crossed.is_none() || crossed == opened, "it crossed with somebody else's party");
    });
}

fn dies_at(point: &'static str, parties: u32) {
    Model::of(if parties == 2 { 3 } else { 1 }, if parties == 2 { 4 } else { 2 }).run(move || {
        let barrier = barrier(parties);
        let dead = {
            let barrier = Arc::clone(&barrier);
            Process::dies_at(point, 2, move || cross(&barrier))
        };
        let other = (parties == 3).then(|| {
            let barrier = Arc::clone(&barrier);
            Process::run(3, move || cross(&barrier))
        });
        // It is over for all, in whatever way.
        let mine = cross(&barrier);
        let other = other.map(|other| other.join().expect("it lives"));
        let dead = dead.join();
        assert!(dead.is_none() || mine == Crossing::Crossed, "nobody died, and it broke");
        assert!(other.is_none_or(|other| other == mine), "some crossed and some did not");
        barrier.reset();
        assert!(!barrier.is_broken());
    });
}

#[test]
fn a_party_may_die_anywhere() {
    for point in [
        "barrier: before arriving",
        "barrier: arrived",
        "barrier: before sleep",
        "barrier: before opening",
        "barrier: opened, before wake",
        "robust word: released, before wake",
    ] {
        dies_at(point, 2);
    }
}

#[test]
fn a_party_of_three_may_die() {
    for point in ["barrier: arrived", "barrier: opened, before wake"] {
        dies_at(point, 3);
    }
}

#[test]
fn one_that_died_before_a_reset_is_not_taken_for_who_comes_after_it() {
    Model::of(2, 3).in_which_time_passes().run(|| {
        let barrier = barrier(3);
        barrier.arrive();
        let dead = {
            let barrier = Arc::clone(&barrier);
            Process::dies_at("barrier: before sleep", 2, move || cross(&barrier))
        };
        dead.join();
        barrier.reset();
        let Arrival::Early { generation, .. } = barrier.arrive() else {
            panic!("the first of three");
        };
        let others = {
            let barrier = Arc::clone(&barrier);
            Process::run(3, move || {
                barrier.arrive();
                barrier.arrive();
                barrier.open(generation)
            })
        };
        assert_eq!(barrier.wait(generation, None), Crossing::Crossed);
        assert_eq!(others.join(), Some(Crossing::Crossed));
    });
}

#[test]
fn one_that_breaks_or_resets_may_die() {
    for point in
        ["barrier: broken, before wake", "barrier: reset noted", "barrier: opened, before wake"]
    {
        Model::of(4, 6).run(move || {
            let barrier = barrier(2);
            let Arrival::Early { generation, .. } = barrier.arrive() else {
                panic!("the first of two");
            };
            let dead = {
                let barrier = Arc::clone(&barrier);
                Process::dies_at(point, 2, move || match point {
                    "barrier: broken, before wake" => barrier.abort(),
                    _ => barrier.reset(),
                })
            };
            assert_eq!(barrier.wait(generation, None), Crossing::Broken);
            assert_eq!(dead.join(), None);
            barrier.reset();
            assert!(!barrier.is_broken());
        });
    }
}
