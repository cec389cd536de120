//! Models of the semaphore and of its turnstile.

use std::sync::Arc;

use millpond_models::model::{Model, Process};
use millpond_models::sync::robust::Taken;
use millpond_models::sync::semaphore::{MOST_PERMITS, Semaphore};

fn semaphore(permits: u32) -> Arc<Semaphore> {
    let semaphore = Semaphore::default();
    semaphore.start(permits, MOST_PERMITS);
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
        takers.into_iter().for_each(|taker| assert_eq!(taker.join(), Some(Taken::Clean)));
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
                assert_eq!(semaphore.acquire(None), Taken::Clean);
                semaphore.release().expect("held");
            })
        });
        assert_eq!(semaphore.acquire(None), Taken::Clean);
        semaphore.release().expect("held");
        others.into_iter().for_each(|other| assert_eq!(other.join(), Some(())));
        assert_eq!(semaphore.value(), 1);
    });
}

fn dies_at(point: &'static str) {
    Model::of(3, 4).run(move || {
        let semaphore = semaphore(1);
        let dead = {
            let semaphore = Arc::clone(&semaphore);
            Process::dies_at(point, 2, move || {
                assert_eq!(semaphore.acquire(None), Taken::Clean);
                semaphore.release().expect("held");
            })
        };
        assert_eq!(semaphore.acquire(None), Taken::Clean);
        semaphore.release().expect("held");
        dead.join();
        // The permit is there, or comes back.
        assert_eq!(semaphore.acquire(None), Taken::Clean);
        assert_eq!(semaphore.value(), 0);
    });
}

#[test]
fn the_permit_of_one_that_died_anywhere_comes_back() {
    for point in [
        "semaphore: entered to acquire",
        "semaphore: place named",
        "semaphore: acquired",
        "semaphore: entered to release",
        "semaphore: released, before wake",
        "semaphore: before sleep",
        "turnstile: before sleep",
        "turnstile: admitted, before wake",
        "robust word: before sleep",
        "robust word: released, before wake",
    ] {
        dies_at(point);
    }
}
