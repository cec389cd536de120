//! Tests of `robust.rs`.

use super::*;
use crate::os::fork::{Forked, exit_now, fork};
use crate::os::map::Mapping;
use crate::os::memfd;
use crate::os::pidfd::PidFd;
use crate::sync::deadline::RECHECK_INTERVAL;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

fn shared_word() -> (Mapping, &'static RobustWord) {
    let fd = memfd::create("millpond-test", 4096).expect("memory");
    let map = Mapping::new(fd.as_fd(), 0, 4096).expect("mapping");
    // SAFETY: page-aligned zeroes, which are a free word; tests keep the mapping for as long.
    let word = unsafe { map.start().cast::<RobustWord>().as_ref() };
    (map, word)
}

#[test]
fn threads_exclude_each_other() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    let inside = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut spin = Spin::default();
                for _ in 0..5000 {
                    assert_eq!(word.take(me, &mut spin, None), Taken::Clean);
                    assert!(!inside.swap(true, Ordering::Relaxed));
                    inside.store(false, Ordering::Relaxed);
                    word.release(me);
                }
            });
        }
    });
    assert_eq!(word.holder(), None);
}

#[test]
fn a_word_of_somebody_else_is_not_released() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    let other = ProcessId::from_raw(me.raw() + (1 << 32)).expect("a process");
    assert_eq!(word.release_of(me), Err(Misuse::NotOwner));
    for flags in [0, SLEEPERS, FLAGS, KEPT] {
        assert!(word.try_take(other));
        word.0.fetch_or(flags, Ordering::Relaxed);
        assert_eq!(word.release_of(me), Err(Misuse::NotOwner));
        word.release(me);
        assert_eq!(word.holder(), Some(other));
        assert_eq!(word.release_of(other), Ok(()));
        assert_eq!(word.release_of(other), Err(Misuse::NotOwner));
        word.force_free();
    }
}

#[test]
fn the_death_of_the_holder_reaches_one_waiter() {
    let (_map, word) = shared_word();
    // SAFETY: the child touches the word alone and ends.
    let Forked::Parent(child) = unsafe { fork() }.expect("fork") else {
        assert!(word.try_take(ProcessId::current()));
        exit_now(0);
    };
    PidFd::open(child).expect("child").wait_readable(None).expect("poll");
    let me = ProcessId::current();
    let taken: Vec<_> = std::thread::scope(|scope| {
        let wait = || {
            let taken = word.take(me, &mut Spin::default(), None);
            word.release(me);
            taken
        };
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(wait)).collect();
        waiters.into_iter().map(|w| w.join().expect("no panic")).collect()
    });
    PidFd::open(child).expect("child").reap().expect("status");
    let deaths = taken.iter().filter(|t| matches!(t, Taken::OwnerDied(d) if d.pid() == child));
    assert_eq!(deaths.count(), 1, "{taken:?}");
    assert_eq!(taken.iter().filter(|t| **t == Taken::Clean).count(), 2);
}

#[test]
fn what_no_holder_of_a_guard_wrote_keeps_nobody_out() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    // On trust, and of another namespace, kept or not; of this process' namespace and kept.
    let foreign = me.raw() ^ 1 << 56 | 1 << 30;
    for damaged in [foreign, foreign | FLAGS | KEPT, me.raw() ^ 1 << 40 | KEPT, u64::MAX] {
        word.0.store(damaged, Ordering::Relaxed);
        assert_eq!(word.enter(me), ProcessId::from_raw(damaged));
        word.release(me);
        word.0.store(damaged, Ordering::Relaxed);
        // In waits as short as they come.
        let taken = || {
            let soon = Some(Instant::now() + Duration::from_millis(5));
            word.take(me, &mut Spin::default(), soon) != Taken::TimedOut
        };
        assert!((0..12_000).any(|_| taken()));
        word.release(me);
    }
}

#[test]
fn a_word_that_its_dead_holder_keeps_is_free_once_released() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    // SAFETY: the child touches the word alone and ends.
    let Forked::Parent(child) = unsafe { fork() }.expect("fork") else {
        let me = ProcessId::current();
        assert!(word.try_take(me));
        word.keep(me);
        exit_now(0);
    };
    PidFd::open(child).expect("child").reap().expect("status");
    let dead = word.holder().expect("kept");
    assert_eq!(dead.pid(), child);
    assert_eq!(word.take_from_dead(me), Taken::TimedOut);
    let soon = Some(Instant::now() + 3 * RECHECK_INTERVAL);
    assert_eq!(word.take_lock(me, &mut Spin::default(), soon), Taken::TimedOut);
    word.release_of(dead).expect("its");
    assert_eq!(word.take(me, &mut Spin::default(), None), Taken::Clean);
    word.release(me);
    // What is not held is not kept.
    word.keep(me);
    assert!(word.try_take(me));
    word.release(me);
}

#[test]
fn a_waiter_that_starved_and_gave_up_bars_nobody() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    assert!(word.try_take(me));
    // It starves from its second sleep on, which may begin too late on a busy machine.
    while word.0.load(Ordering::Relaxed) & FLAGS != FLAGS {
        let soon = Some(Instant::now() + 3 * RECHECK_INTERVAL);
        assert_eq!(word.take(me, &mut Spin::default(), soon), Taken::TimedOut);
    }
    word.release(me);
    assert!(word.try_take(me));
    word.release(me);
    // As one leaves it that starved, was woken, and died.
    word.0.store(FLAGS, Ordering::Relaxed);
    assert!(!word.try_take(me));
    let now = Some(Instant::now());
    assert_eq!(word.take(me, &mut Spin::default(), now), Taken::Clean);
    word.release(me);
    assert!(word.try_take(me));
}

#[test]
fn a_waiter_gets_the_word_from_one_who_never_pauses() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    let got = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(word.take(me, &mut Spin::default(), None), Taken::Clean);
            got.store(true, Ordering::Relaxed);
            word.release(me);
        });
        let mut spin = Spin::default();
        while !got.load(Ordering::Relaxed) {
            assert_eq!(word.take(me, &mut spin, None), Taken::Clean);
            word.release(me);
        }
    });
}

#[test]
fn a_word_that_the_dead_left_barred_is_free_for_who_never_waits() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    // One that starved was woken, and died before it took the word.
    word.0.store(FLAGS, Ordering::Relaxed);
    assert!(!word.try_take(me));
    assert_eq!(word.take_from_dead(me), Taken::Clean);
    assert_eq!(word.take_from_dead(me), Taken::TimedOut);
    word.release(me);
}

#[test]
fn a_deadline_ends_the_wait_and_leaves_the_word_usable() {
    let (_map, word) = shared_word();
    let me = ProcessId::current();
    assert!(word.try_take(me));
    let soon = Instant::now() + Duration::from_millis(5);
    assert_eq!(word.take(me, &mut Spin::default(), Some(soon)), Taken::TimedOut);
    word.release(me);
    assert!(word.try_take(me));
    word.release(me);
}
