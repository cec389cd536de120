//! Models of the semaphore and of its wait queue.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use millpond_models::model::{Model, Process, die};
use millpond_models::os::clock::Instant;
use millpond_models::os::identity::ProcessId;
use millpond_models::shm::shared::Holdable;
use millpond_models::sync::deadline::RECHECK_INTERVAL;
use millpond_models::sync::robust::Taken;
use millpond_models::sync::semaphore::{MAX_PERMITS, Semaphore};

fn semaphore(permits: u32) -> Arc<Semaphore> {
    let semaphore = Semaphore::default();
    semaphore.start(permits, MAX_PERMITS);
    Arc::new(semaphore)
}

#[test]
fn each_message_wakes_somebody() {
    Model::of(2, 3).run(|| {
        let semaphore = semaphore(0);
        let takers = [2, 3].map(|number| {
            let semaphore = Arc::clone(&semaphore);
            Process::run(number, move || semaphore.acquire(None))
        });
        semaphore.release().expect("a message");
        semaphore.release().expect("a message");
        takers.into_iter().for_each(|taker| assert_eq!(taker.join(), Some(Ok(Taken::Clean))));
        assert_eq!(semaphore.value(), 0);
    });
}

#[test]
fn permits_go_round() {
    Model::of(1, 3).run(|| {
        let semaphore = semaphore(1);
        let others = [2, 3].map(|number| {
            let semaphore = Arc::clone(&semaphore);
            Process::run(number, move || {
                assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                semaphore.release().expect("held");
            })
        });
        assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        semaphore.release().expect("held");
        others.into_iter().for_each(|other| assert_eq!(other.join(), Some(())));
        assert_eq!(semaphore.value(), 1);
    });
}

#[test]
fn a_process_that_is_fast_leaves_nobody_asleep() {
    Model::of(2, 3).run(|| {
        let semaphore = semaphore(1);
        // Its biased owner from now on.
        assert!(semaphore.try_acquire() == Ok(true));
        semaphore.release().expect("held");
        let others = [2, 3].map(|number| {
            let semaphore = Arc::clone(&semaphore);
            Process::run(number, move || {
                assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                semaphore.release().expect("held");
            })
        });
        assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        semaphore.release().expect("held");
        others.into_iter().for_each(|other| assert_eq!(other.join(), Some(())));
        assert_eq!(semaphore.value(), 1);
    });
}

/// Another process takes the biased owner's place, a thread of this one is as fast.
#[test]
fn what_the_permit_guards_is_seen() {
    guards(2);
    guards(1);
}

/// A number that only the holder of the one permit may touch; loom tells if two could at once, or
/// if one could miss what another wrote.
struct Guarded {
    semaphore: Arc<Semaphore>,
    number: UnsafeCell<u32>,
}

// SAFETY: loom checks what the permit is for.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn count(&self) {
        assert_eq!(self.semaphore.acquire(None), Ok(Taken::Clean));
        // SAFETY: the only permit is here.
        self.number.with_mut(|number| unsafe { *number += 1 });
        self.semaphore.release().expect("held");
    }
}

fn guards(other: u32) {
    Model::of(2, 3).run(move || {
        let guarded = Guarded { semaphore: semaphore(1), number: UnsafeCell::new(0) };
        let guarded = Arc::new(guarded);
        guarded.count();
        let other = {
            let guarded = Arc::clone(&guarded);
            Process::thread(other, 1, move || guarded.count())
        };
        guarded.count();
        guarded.count();
        other.join();
    });
}

#[test]
fn a_bound_holds_for_messages_too() {
    Model::of(2, 3).run(|| {
        let semaphore = Arc::new(Semaphore::default());
        semaphore.start(1, 1);
        assert!(semaphore.try_acquire() == Ok(true));
        let other = {
            let semaphore = Arc::clone(&semaphore);
            Process::run(2, move || {
                // What it does not hold.
                u32::from(semaphore.release().is_ok()) + u32::from(semaphore.release().is_ok())
            })
        };
        let taken = u32::from(semaphore.try_acquire() == Ok(true));
        let released = other.join().expect("alive");
        assert_eq!(semaphore.value(), released - taken);
    });
}

/// The first round makes it the biased owner, the second one may be fast.
fn dies_at(point: &'static str, rounds: u32) {
    Model::of(4 - rounds as usize, 4).run(move || {
        let semaphore = semaphore(1);
        let dead = {
            let semaphore = Arc::clone(&semaphore);
            Process::dies_at(point, 2, move || {
                for _ in 0..rounds {
                    assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                    semaphore.release().expect("held");
                }
            })
        };
        assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        semaphore.release().expect("held");
        dead.join();
        // The permit is there, or comes back.
        assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        assert_eq!(semaphore.value(), 0);
    });
}

#[test]
fn the_permit_of_one_that_died_anywhere_comes_back() {
    for point in [
        "semaphore: entered to acquire",
        "semaphore: place named",
        "semaphore: barred",
        "semaphore: biased owner named",
        "semaphore: counted",
        "semaphore: uncounted",
        "semaphore: acquired",
        "semaphore: entered to release",
        "semaphore: released, before wake",
        "semaphore: before sleep",
        "wait queue: before sleep",
        "wait queue: admitted, before wake",
        "robust word: before sleep",
        "robust word: released, before wake",
    ] {
        dies_at(point, 1);
    }
}

#[test]
fn the_permit_of_one_that_died_being_fast_comes_back() {
    for point in ["semaphore: acquired on the fast path", "semaphore: released on the fast path"] {
        dies_at(point, 2);
    }
}

#[test]
fn the_permit_of_one_that_died_beside_the_biased_owner_comes_back() {
    let points = [
        "semaphore: place named",
        "semaphore: counted",
        "semaphore: acquired",
        "semaphore: uncounted",
        "semaphore: released, before wake",
    ];
    for point in points {
        Model::of(3, 4).run(move || {
            let semaphore = semaphore(2);
            assert!(semaphore.try_acquire() == Ok(true));
            let dead = {
                let semaphore = Arc::clone(&semaphore);
                Process::dies_at(point, 2, move || {
                    assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                    semaphore.release().expect("held");
                })
            };
            assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
            semaphore.release().expect("held");
            dead.join();
            assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
            assert_eq!(semaphore.value(), 0);
        });
    }
}

/// One that has so many permits keeps them, unless it dies before it comes so far; another takes and
/// releases one meanwhile.
fn keeps(point: &'static str, takes_first: bool) {
    Model::of(2, 4).run(move || {
        let semaphore = Arc::new(Semaphore::default());
        semaphore.start(3, 3);
        if takes_first {
            // Then this one is the biased owner.
            assert!(semaphore.try_acquire() == Ok(true));
        }
        let keeper = {
            let semaphore = Arc::clone(&semaphore);
            Process::dies_at(point, 2, move || {
                assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
                semaphore.keep(ProcessId::current());
                die();
            })
        };
        if !takes_first {
            assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        }
        semaphore.release().expect("held");
        assert_eq!(keeper.join(), None);
        // Two are kept for good, whatever is found out about the dead.
        assert_eq!(semaphore.acquire(None), Ok(Taken::Clean));
        let soon = Some(Instant::now() + RECHECK_INTERVAL);
        assert_eq!(semaphore.acquire(soon), Ok(Taken::TimedOut));
        assert_eq!((semaphore.value(), semaphore.held_here()), (0, 1));
        (0..3).for_each(|_| semaphore.release().expect("taken"));
        assert!(semaphore.release().is_err());
        assert_eq!(semaphore.value(), 3);
    });
}

#[test]
fn permits_that_were_kept_stay_away() {
    for takes_first in [false, true] {
        keeps("semaphore: kept", takes_first);
    }
}

#[test]
fn one_that_dies_while_it_keeps_its_permits_keeps_them() {
    for takes_first in [false, true] {
        keeps("semaphore: kept, still counted as its own", takes_first);
    }
    keeps("semaphore: kept, still counted as the biased owner's", false);
}
