//! Tests of the barrier.

use super::*;
use crate::shm::shared::Shared;
use crate::sync::testing::{Child, far, until};

fn barrier(parties: u32) -> Shared<Barrier> {
    let barrier = Shared::<Barrier>::zeroed().expect("memory");
    barrier.start(parties).expect("places");
    barrier
}

fn cross(barrier: &Barrier) -> Crossing {
    loop {
        match barrier.arrive() {
            Arrival::Last { generation, .. } => return barrier.open(generation),
            Arrival::Early { generation, .. } => return barrier.wait(generation, far()),
            Arrival::Busy { generation } => {
                barrier.wait(generation, far());
            }
            Arrival::Broken => return Crossing::Broken,
        }
    }
}

#[test]
fn processes_and_threads_cross_together() {
    let barrier = barrier(4);
    let children: Vec<_> =
        (0..2).map(|_| Child::run(|| (0..200).for_each(|_| _ = cross(&barrier)))).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                (0..200).for_each(|_| assert_eq!(cross(&barrier), Crossing::Crossed));
            });
        }
    });
    children.into_iter().for_each(Child::join);
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

#[test]
fn the_death_of_one_who_waits_breaks_it() {
    let barrier = barrier(3);
    let waiter = Child::run(|| {
        _ = cross(&barrier);
    });
    until(|| barrier.waiting() == 1);
    waiter.kill();
    assert_eq!(cross(&barrier), Crossing::Broken);
    assert_eq!(barrier.arrive(), Arrival::Broken);
    barrier.reset();
    assert!(matches!(barrier.arrive(), Arrival::Early { index: 0, .. }));
}

#[test]
fn the_death_of_one_who_acts_breaks_it() {
    let barrier = barrier(2);
    let Arrival::Early { generation, .. } = barrier.arrive() else {
        panic!("the first of two");
    };
    let actor = Child::run(|| {
        barrier.arrive();
        crate::sync::testing::sleep_for_ever();
    });
    until(|| barrier.waiting() == 2);
    assert!(matches!(barrier.arrive(), Arrival::Busy { .. }));
    actor.kill();
    assert_eq!(barrier.wait(generation, far()), Crossing::Broken);
}

#[test]
fn a_reset_breaks_for_those_who_wait_and_for_nobody_after() {
    let barrier = barrier(2);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| cross(&barrier));
        until(|| barrier.waiting() == 1);
        barrier.reset();
        assert_eq!(waiter.join().expect("no panic"), Crossing::Broken);
        let waiter = scope.spawn(|| cross(&barrier));
        assert_eq!(cross(&barrier), Crossing::Crossed);
        assert_eq!(waiter.join().expect("no panic"), Crossing::Crossed);
    });
}

#[test]
fn a_process_that_is_slow_to_look_learns_how_its_own_generation_ended() {
    let barrier = barrier(2);
    let arrive = || match barrier.arrive() {
        Arrival::Early { generation, .. } => generation,
        other => panic!("{other:?}"),
    };
    let first = arrive();
    barrier.reset();
    let second = arrive();
    assert_eq!(barrier.arrive(), Arrival::Last { index: 1, generation: second });
    assert_eq!(barrier.open(second), Crossing::Crossed);
    let third = arrive();
    barrier.reset();
    let ends = [first, second, third].map(|of| barrier.wait(of, far()));
    assert_eq!(ends, [Crossing::Broken, Crossing::Crossed, Crossing::Broken]);
    // After 64 more the same bit stands for another generation.
    for _ in 0..64 {
        let early = arrive();
        barrier.arrive();
        barrier.open(early);
        assert_eq!(barrier.wait(early, far()), Crossing::Crossed);
    }
}

#[test]
fn a_reset_during_the_action_leaves_nothing_to_open() {
    let barrier = barrier(2);
    let arrive = || match barrier.arrive() {
        Arrival::Early { generation, .. } => generation,
        other => panic!("{other:?}"),
    };
    let early = arrive();
    assert!(matches!(barrier.arrive(), Arrival::Last { .. }));
    barrier.reset();
    let next = arrive();
    assert_eq!(barrier.open(early), Crossing::Broken);
    assert_eq!(barrier.wait(early, far()), Crossing::Broken);
    assert_eq!(barrier.wait(next, Some(Instant::now())), Crossing::TimedOut);
}

#[test]
fn giving_up_breaks_ones_own_generation_alone() {
    let barrier = barrier(2);
    let Arrival::Early { generation, .. } = barrier.arrive() else {
        panic!("the first of two");
    };
    assert_eq!(barrier.wait(generation, Some(Instant::now())), Crossing::TimedOut);
    barrier.arrive();
    barrier.open(generation);
    assert_eq!(barrier.give_up(generation), Some(Crossing::Crossed));
    assert!(!barrier.is_broken());
    let Arrival::Early { generation, .. } = barrier.arrive() else {
        panic!("the first of two");
    };
    assert_eq!(barrier.give_up(generation), None);
    assert!(barrier.is_broken());
}

#[test]
fn a_timeout_is_told_and_an_abort_breaks() {
    let barrier = barrier(2);
    let Arrival::Early { generation, .. } = barrier.arrive() else {
        panic!("the first of two");
    };
    assert_eq!(barrier.wait(generation, Some(Instant::now())), Crossing::TimedOut);
    barrier.abort();
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait(generation, far()), Crossing::Broken);
}

#[test]
fn the_death_of_any_party_breaks_it_and_more_than_there_are_places_are_refused() {
    let barrier = barrier(MEMBERS as u32);
    let waiter = Child::run(|| _ = cross(&barrier));
    until(|| barrier.waiting() == 1);
    let name = barrier.members[0].swap(ProcessId::current().raw(), Ordering::Relaxed);
    // As if all but one had arrived, the child last.
    barrier.members[MEMBERS - 2].store(name, Ordering::Relaxed);
    barrier.update(|word| word + (MEMBERS as u64 - 2) * ARRIVED);
    waiter.kill();
    // Each look goes on where the last one ended.
    for first in (0..MEMBERS).step_by(LOOKED_AT) {
        barrier.look_for_dead(0, first, LOOKED_AT);
    }
    assert!(barrier.is_broken());
    let error = barrier.start(MEMBERS as u32 + 1).expect_err("no places");
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
}

#[test]
fn a_crossing_that_nobody_will_open_is_broken() {
    let barrier = barrier(2);
    barrier.update(|word| word + 2 * ARRIVED);
    assert_eq!(barrier.arrive(), Arrival::Broken);
    barrier.reset();
    assert!(matches!(barrier.arrive(), Arrival::Early { index: 0, .. }));
}
