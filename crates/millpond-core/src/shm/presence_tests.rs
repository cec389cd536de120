use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::os::clock::Instant;
use crate::shm::region::Region;
use crate::shm::shared::Shared;
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::event::Event;
use crate::sync::lock::Lock;
use crate::sync::robust::Taken;
use crate::sync::testing::{Child, far, sleep_for_ever, until};

fn lock() -> Shared<Lock> {
    Shared::zeroed().expect("memory")
}

/// Long enough for several looks at the holder.
fn soon() -> Option<Instant> {
    Some(Instant::now() + 3 * RECHECK_INTERVAL)
}

fn close_all() {
    // SAFETY: a forked child of a test, in which no other code uses descriptors, closes them.
    assert_eq!(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }, 0);
}

/// Asserts that the lock is its child's until that is killed.
fn is_held_until_killed(lock: &Lock, child: &Child) {
    until(|| lock.holder().is_some());
    assert_eq!(lock.acquire(soon()), Taken::TimedOut);
    child.kill();
    assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
    lock.release().expect("held");
}

#[test]
fn a_process_is_present_as_long_as_it_lives() {
    let lock = lock();
    for _ in 0..3 {
        let child = Child::run(|| {
            assert!(lock.try_acquire());
            sleep_for_ever();
        });
        is_held_until_killed(&lock, &child);
    }
}

#[test]
fn one_that_closes_its_descriptors_is_still_present() {
    let lock = lock();
    let child = Child::run(|| {
        assert!(lock.try_acquire());
        close_all();
        sleep_for_ever();
    });
    is_held_until_killed(&lock, &child);
}

#[test]
fn one_that_has_closed_its_descriptors_before_is_known_by_its_number() {
    let lock = lock();
    let child = Child::run(|| {
        close_all();
        assert!(lock.try_acquire() && ProcessId::current().is_on_trust());
        sleep_for_ever();
    });
    is_held_until_killed(&lock, &child);
}

#[test]
fn one_without_descriptors_sees_who_lives() {
    let (lock, seen) = (lock(), lock());
    let holder = Child::run(|| {
        assert!(lock.try_acquire());
        sleep_for_ever();
    });
    until(|| lock.holder().is_some());
    let looker = Child::run(|| {
        close_all();
        assert_eq!(lock.acquire(soon()), Taken::TimedOut);
        assert!(seen.try_acquire());
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
        seen.release().expect("held");
        sleep_for_ever();
    });
    until(|| seen.holder().is_some());
    holder.kill();
    until(|| seen.holder().is_none());
    drop(looker);
}

#[test]
fn one_that_executes_another_program_is_gone() {
    let lock = lock();
    let child = Child::run(|| {
        assert!(lock.try_acquire());
        let (program, seconds) = (c"/bin/sleep", c"600");
        let arguments = [program.as_ptr(), seconds.as_ptr(), std::ptr::null()];
        // SAFETY: strings that end with a nul byte, and a list that ends with a null pointer.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
    });
    until(|| lock.holder().is_some());
    assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
    assert!(child.is_alive(), "it is `sleep` by now");
}

#[test]
fn the_children_of_the_dead_do_not_stand_for_them() {
    let lock = lock();
    let child = Child::run(|| {
        assert!(lock.try_acquire());
        // It inherits the memory and its descriptor, and never uses them.
        std::mem::forget(Child::run(|| std::thread::sleep(Duration::from_secs(2))));
        sleep_for_ever();
    });
    is_held_until_killed(&lock, &child);
}

#[test]
fn the_stopped_live() {
    let lock = lock();
    let child = Child::run(|| {
        assert!(lock.try_acquire());
        sleep_for_ever();
    });
    until(|| lock.holder().is_some());
    child.stop();
    is_held_until_killed(&lock, &child);
}

#[test]
fn a_grandchild_is_present_where_its_grandparent_was() {
    let lock = lock();
    let child = Child::run(|| {
        let grandchild = Child::run(|| {
            assert!(lock.try_acquire());
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        assert_eq!(lock.acquire(soon()), Taken::TimedOut);
        grandchild.kill();
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
    });
    child.join();
    assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
}

#[test]
fn three_hundred_are_present_at_once() {
    let locks: Vec<_> = (0..300).map(|_| lock()).collect();
    let hold = |lock: &Shared<Lock>| {
        assert!(lock.try_acquire());
        sleep_for_ever();
    };
    let children: Vec<_> = locks.iter().map(|lock| Child::run(|| hold(lock))).collect();
    until(|| locks.iter().all(|lock| lock.holder().is_some()));
    assert!(locks.iter().all(|lock| lives(lock.holder().expect("held"), &**lock)));
    children.iter().for_each(Child::kill);
    assert!(locks.iter().all(|lock| !lives(lock.holder().expect("held"), &**lock)));
}

#[test]
fn a_region_that_is_let_go_leaves_nothing_behind() {
    let present = || PRESENT.of(&mut tables::lock()).len();
    // Other tests come and go at the same time.
    let tries = (0..100).any(|_| {
        let before = present();
        let region = Region::create("millpond-test", 8192).expect("memory");
        let with = present();
        drop(region);
        (with, present()) == (before + 1, before)
    });
    assert!(tries);
}

#[test]
fn no_fork_inherits_the_descriptor_of_a_claim() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop(Region::create("millpond-claimed", 4096).expect("memory"));
            }
        });
        let second = Shared::<Event>::zeroed().expect("memory");
        for _ in 0..100 {
            Child::run(|| {
                let descriptors = std::fs::read_dir("/proc/self/fd").expect("procfs");
                let is_its = |path: PathBuf| {
                    let leads_to = std::fs::read_link(path).unwrap_or_default();
                    leads_to.to_string_lossy().contains("millpond-claimed")
                };
                // The region's own, if it was there.
                if descriptors.flatten().filter(|entry| is_its(entry.path())).count() > 1 {
                    second.set();
                }
            })
            .join();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(!second.is_set());
    });
}
