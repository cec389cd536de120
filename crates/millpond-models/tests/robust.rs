//! Models of the robust word, and of the locks made of it.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use millpond_models::model::{Model, Process, die};
use millpond_models::os::clock::Instant;
use millpond_models::os::identity::ProcessId;
use millpond_models::shm::shared::Holdable;
use millpond_models::sync::deadline::RECHECK_INTERVAL;
use millpond_models::sync::lock::Lock;
use millpond_models::sync::rlock::RLock;
use millpond_models::sync::robust::{RobustWord, Taken};
use millpond_models::sync::spin::Spin;

/// A number that only the holder of the word may touch; loom tells if two could at once, or if one
/// could miss what another wrote.
#[derive(Default)]
struct Guarded {
    word: RobustWord,
    number: UnsafeCell<u32>,
}

// SAFETY: loom checks what the word is for.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn take(&self) -> Taken {
        let taken = self.word.take(ProcessId::current(), &mut Spin::default(), None);
        // SAFETY: the word is held.
        self.number.with_mut(|number| unsafe { *number += 1 });
        taken
    }

    fn release(&self) {
        self.word.release(ProcessId::current());
    }

    fn take_and_release(&self) -> Taken {
        let taken = self.take();
        self.release();
        taken
    }
}

fn is_death(taken: Option<Taken>) -> bool {
    matches!(taken, Some(Taken::OwnerDied(_)))
}

#[test]
fn holders_exclude_each_other_and_none_sleeps_on() {
    Model::of(3, 5).run(|| {
        let guarded = Arc::new(Guarded::default());
        let others = [2, 3].map(|number| {
            let guarded = Arc::clone(&guarded);
            Process::run(number, move || guarded.take_and_release())
        });
        assert_eq!(guarded.take_and_release(), Taken::Clean);
        others.into_iter().for_each(|other| assert_eq!(other.join(), Some(Taken::Clean)));
        // SAFETY: the others have ended.
        assert_eq!(guarded.number.with(|number| unsafe { *number }), 3);
        assert!(guarded.word.try_take(ProcessId::current()));
    });
}

#[test]
fn a_holder_that_comes_again_leaves_others_their_turn() {
    Model::of(3, 6).run(|| {
        let guarded = Arc::new(Guarded::default());
        let other = {
            let guarded = Arc::clone(&guarded);
            Process::run(2, move || guarded.take_and_release())
        };
        (0..3).for_each(|_| assert_eq!(guarded.take_and_release(), Taken::Clean));
        assert_eq!(other.join(), Some(Taken::Clean));
    });
}

#[test]
fn a_death_reaches_one_of_two() {
    Model::of(2, 4).run(|| {
        let guarded = Arc::new(Guarded::default());
        let dead = {
            let guarded = Arc::clone(&guarded);
            Process::run(2, move || {
                guarded.take();
                die();
            })
        };
        assert_eq!(dead.join(), None);
        let other = {
            let guarded = Arc::clone(&guarded);
            Process::run(3, move || guarded.take_and_release())
        };
        let mine = guarded.take_and_release();
        assert!(is_death(Some(mine)) != is_death(other.join()));
        assert_eq!(guarded.take_and_release(), Taken::Clean);
    });
}

fn dies_at(point: &'static str) {
    Model::of(3, 5).run(move || {
        let guarded = Arc::new(Guarded::default());
        let dead = {
            let guarded = Arc::clone(&guarded);
            Process::dies_at(point, 2, move || guarded.take_and_release())
        };
        let other = {
            let guarded = Arc::clone(&guarded);
            Process::run(3, move || guarded.take_and_release())
        };
        let mine = guarded.take_and_release();
        let (others, deads) = (other.join(), dead.join());
        // At these points it holds nothing yet, or nothing any more.
        assert!(!is_death(Some(mine)) && !is_death(others) && !is_death(deads));
        assert!(guarded.word.holder().is_none());
        // Whatever flags the dead one left.
        assert_eq!(guarded.take_and_release(), Taken::Clean);
    });
}

/// The holder ends; no process has the word after it until it is released.
#[test]
fn a_word_that_was_kept_is_not_taken_from_the_dead() {
    Model::of(2, 4).in_which_time_passes().run(|| {
        let guarded = Arc::new(Guarded::default());
        let holder = {
            let guarded = Arc::clone(&guarded);
            Process::run(2, move || {
                let taken = guarded.take();
                guarded.word.keep(ProcessId::current());
                assert_eq!(taken, Taken::Clean);
                die();
            })
        };
        let waiter = {
            let guarded = Arc::clone(&guarded);
            Process::run(3, move || {
                let deadline = Instant::now() + RECHECK_INTERVAL + RECHECK_INTERVAL;
                let me = ProcessId::current();
                let taken = guarded.word.take_lock(me, &mut Spin::default(), Some(deadline));
                if taken == Taken::Clean {
                    // It was first.
                    guarded.word.release(me);
                }
                taken
            })
        };
        let me = ProcessId::current();
        let mine = guarded.word.take_from_dead(me);
        if mine == Taken::Clean {
            guarded.word.release(me);
        }
        assert!(!is_death(Some(mine)) && !is_death(waiter.join()));
        assert_eq!(holder.join(), None);
        assert_eq!(guarded.word.take_from_dead(me), Taken::TimedOut);
        assert_eq!(guarded.word.holder().map(ProcessId::pid), Some(2));
        let dead = guarded.word.holder().expect("kept");
        guarded.word.release_of(dead).expect("its");
        assert_eq!(guarded.take(), Taken::Clean);
    });
}

#[test]
fn what_the_holder_of_a_kept_word_wrote_is_seen_by_the_next() {
    Model::of(3, 5).in_which_time_passes().run(|| {
        let guarded = Arc::new(Guarded::default());
        let is_kept = Arc::new(AtomicBool::new(false));
        let holder = {
            let (guarded, is_kept) = (Arc::clone(&guarded), Arc::clone(&is_kept));
            Process::run(2, move || {
                guarded.take();
                guarded.word.keep(ProcessId::current());
                // Relaxed: the word alone is to order what it guards.
                is_kept.store(true, Ordering::Relaxed);
            })
        };
        let releaser = {
            let guarded = Arc::clone(&guarded);
            Process::run(3, move || {
                if is_kept.load(Ordering::Relaxed) {
                    guarded.word.release(ProcessId::current());
                }
            })
        };
        let me = ProcessId::current();
        let deadline = Some(Instant::now() + RECHECK_INTERVAL);
        if guarded.word.take(me, &mut Spin::default(), deadline) == Taken::Clean {
            // SAFETY: the word is held.
            guarded.number.with_mut(|number| unsafe { *number += 1 });
            guarded.release();
        }
        holder.join();
        releaser.join();
    });
}

/// A thread of the holder goes on while another ends their process.
#[test]
fn what_is_released_while_it_is_being_kept_is_free_or_kept() {
    Model::of(3, 6).run(|| {
        let lock = Arc::new(Lock::default());
        assert!(lock.try_acquire());
        let other = {
            let lock = Arc::clone(&lock);
            Process::run(2, move || lock.acquire(None))
        };
        let thread = {
            let lock = Arc::clone(&lock);
            Process::thread(1, 1, move || lock.release().expect("held"))
        };
        lock.keep(ProcessId::current());
        thread.join();
        assert_eq!(other.join(), Some(Taken::Clean));
        assert_eq!(lock.holder().map(ProcessId::pid), Some(2));
    });
}

#[test]
fn a_sleeper_may_die() {
    dies_at("robust word: before sleep");
}

#[test]
fn a_releaser_may_die_before_it_wakes() {
    dies_at("robust word: released, before wake");
}

#[test]
fn an_heir_may_die() {
    Model::of(3, 5).run(|| {
        let guarded = Arc::new(Guarded::default());
        let dead = {
            let guarded = Arc::clone(&guarded);
            Process::run(2, move || {
                guarded.take();
                die();
            })
        };
        dead.join();
        let heir = {
            let guarded = Arc::clone(&guarded);
            Process::dies_at("robust word: taken from the dead", 3, move || {
                guarded.take_and_release()
            })
        };
        // This one inherits from the first, or from the heir.
        let mine = guarded.take_and_release();
        let heir = heir.join();
        match heir {
            Some(taken) => assert!(taken == Taken::Clean && is_death(Some(mine))),
            None => assert!(is_death(Some(mine)) || guarded.word.holder().is_some()),
        }
    });
}

#[test]
fn one_who_starved_and_gave_up_bars_nobody() {
    Model::of(2, 4).in_which_time_passes().run(|| {
        let word = Arc::new(RobustWord::new());
        let me = ProcessId::current();
        assert!(word.try_take(me));
        let impatient = {
            let word = Arc::clone(&word);
            Process::run(2, move || {
                let me = ProcessId::current();
                let deadline = Instant::now() + RECHECK_INTERVAL + RECHECK_INTERVAL;
                let taken = word.take(me, &mut Spin::default(), Some(deadline));
                if taken != Taken::TimedOut {
                    word.release(me);
                }
            })
        };
        let newcomer = {
            let word = Arc::clone(&word);
            Process::run(3, move || {
                let me = ProcessId::current();
                assert_eq!(word.take(me, &mut Spin::default(), None), Taken::Clean);
                word.release(me);
            })
        };
        word.release(me);
        impatient.join();
        newcomer.join();
        // Whatever is left, one that does not wait gets it, and leaves it free for all.
        assert_eq!(word.take(me, &mut Spin::default(), Some(Instant::now())), Taken::Clean);
        word.release(me);
        assert!(word.try_take(me));
    });
}

#[test]
fn threads_of_a_dead_owners_heir_do_not_take_themselves_for_the_owner() {
    Model::of(3, 6).run(|| {
        let lock = Arc::new(RLock::default());
        let dead = {
            let lock = Arc::clone(&lock);
            Process::thread(2, 7, move || {
                assert_eq!(lock.acquire(None), Taken::Clean);
                die();
            })
        };
        dead.join();
        // Another process, whose second thread has the dead one's number.
        let second = {
            let lock = Arc::clone(&lock);
            Process::thread(1, 7, move || lock.is_mine())
        };
        assert!(matches!(lock.acquire(None), Taken::OwnerDied(_)));
        assert_eq!(second.join(), Some(false));
        assert_eq!(lock.release_all(), Ok(1));
    });
}

#[test]
fn threads_of_one_process_exclude_each_other() {
    Model::of(3, 5).run(|| {
        let lock = Arc::new(Lock::default());
        let rlock = Arc::new(RLock::default());
        let other = {
            let (lock, rlock) = (Arc::clone(&lock), Arc::clone(&rlock));
            Process::thread(1, 1, move || {
                assert!(!lock.is_mine() && !rlock.is_mine());
                assert_eq!(lock.acquire(None), Taken::Clean);
                assert_eq!(rlock.acquire(None), Taken::Clean);
                assert!(lock.is_mine() && rlock.is_mine());
                rlock.release().expect("mine");
                lock.release().expect("held");
            })
        };
        assert!(!rlock.is_mine());
        assert_eq!(rlock.acquire(None), Taken::Clean);
        assert_eq!(rlock.acquire(None), Taken::Clean);
        assert_eq!(rlock.release_all(), Ok(2));
        other.join();
        assert_eq!((lock.holder(), rlock.holder()), (None, None));
    });
}
