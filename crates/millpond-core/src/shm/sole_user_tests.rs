//! Each in a forked child: other tests of this program fork, too, and their children have it all.

use std::time::Duration;

use super::*;
use crate::channel::attachments::Attachments;
use crate::channel::pipe::End;
use crate::channel::queue::{Options, Queue};
use crate::os::fork::pid;
use crate::shm::region::Region;
use crate::shm::shared::{Shared, SharedObject};
use crate::shm::slab::Slot;
use crate::shm::wire_handle::WireHandle;
use crate::sync::event::Event;
use crate::sync::lock::Lock;
use crate::sync::testing::{Child, sleep_for_ever, until};

fn object<T: SharedObject>() -> Shared<T> {
    Shared::zeroed().expect("memory")
}

/// A child that never uses what it inherits.
fn sleeper() -> Child {
    Child::run(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    })
}

#[test]
fn memory_that_nobody_else_has() {
    Child::check(|| {
        let lock = object::<Lock>();
        assert!(is_sole_user(&*lock));
        let queue = Queue::create(Options::default()).expect("memory");
        assert!(queue.is_sole_user());
        let (end, _other) = End::pair().expect("descriptors");
        assert!(end.is_sole_user());
        // Not memory that processes are present in.
        assert!(!is_sole_user(&pid()));
    });
}

#[test]
fn children_have_it_until_they_are_dead() {
    Child::check(|| {
        let (lock, used) = (object::<Lock>(), object::<Lock>());
        for _ in 0..2 {
            let child = sleeper();
            assert!(!is_sole_user(&*lock));
            child.stop();
            assert!(!is_sole_user(&*lock));
            child.kill();
            assert!(is_sole_user(&*lock), "it need not be reaped");
        }
        let child = Child::run(|| {
            assert!(used.try_acquire());
            sleep_for_ever();
        });
        until(|| used.holder().is_some());
        assert!(!is_sole_user(&*used));
        child.kill();
        assert!(is_sole_user(&*used));
        let children: Vec<_> = (0..100).map(|_| sleeper()).collect();
        for child in children {
            assert!(!is_sole_user(&*lock));
            child.kill();
        }
        assert!(is_sole_user(&*lock));
    });
}

#[test]
fn children_that_close_their_descriptors_have_it() {
    Child::check(|| {
        let (lock, closed) = (object::<Lock>(), object::<Event>());
        for uses in [false, true] {
            closed.clear();
            let child = Child::run(|| {
                // SAFETY: no other code uses descriptors in this child.
                assert_eq!(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }, 0);
                assert!(!uses || lock.try_acquire());
                closed.set();
                sleep_for_ever();
            });
            until(|| closed.is_set());
            assert!(!is_sole_user(&*lock));
            child.kill();
            assert!(is_sole_user(&*lock));
        }
    });
}

#[test]
fn those_who_execute_another_program_have_it_no_more() {
    Child::check(|| {
        let lock = object::<Lock>();
        let child = Child::run(|| {
            let (program, seconds) = (c"/bin/sleep", c"600");
            let arguments = [program.as_ptr(), seconds.as_ptr(), std::ptr::null()];
            // SAFETY: strings that end with a nul byte, and a list that ends with a null pointer.
            unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        });
        until(|| is_sole_user(&*lock));
        assert!(child.is_alive());
    });
}

#[test]
fn siblings_whose_parent_is_dead_see_each_other() {
    Child::check(|| {
        let (lock, orphaned, seen) = (object::<Lock>(), object::<Event>(), object::<Event>());
        let done = object::<Event>();
        let parent = Child::run(|| {
            // Looking is no use.
            let sleeper = Child::run(|| until(|| done.is_set()));
            // It has used the memory, and its sibling has not.
            std::mem::forget(Child::run(|| {
                assert!(lock.try_acquire());
                until(|| orphaned.is_set());
                // The test's own process is the other one that has it.
                assert!(!is_sole_user(&*lock));
                seen.set();
                sleep_for_ever();
            }));
            until(|| orphaned.is_set());
            std::mem::forget(sleeper);
        });
        until(|| lock.holder().is_some());
        let looker = lock.holder().expect("held");
        assert!(!is_sole_user(&*lock));
        orphaned.set();
        until(|| seen.is_set() && !parent.is_alive());
        assert!(!is_sole_user(&*lock));
        kill(looker.pid());
        until(|| !crate::shm::presence::lives(looker, &*lock));
        assert!(!is_sole_user(&*lock), "the sibling has it");
        done.set();
        until(|| is_sole_user(&*lock));
    });
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}

#[test]
fn what_was_given_away_is_anybodys() {
    Child::check(|| {
        let slot = || Slot::allocate(100_000).expect("memory");
        // SAFETY: a word of the slot, for its address alone.
        let is_sole = |slot: &Slot| is_sole_user(unsafe { slot.start().as_ref() });
        let own = slot();
        let _ = WireHandle::to_self(&own, 7);
        assert!(is_sole(&own));
        let given = slot();
        let _ = WireHandle::new(&given, 7);
        assert!(!is_sole(&given) && is_sole(&own));
        let sent = slot();
        let wire_handle = WireHandle::send(&sent, 7);
        assert!(!is_sole(&sent));
        drop(wire_handle.open().expect("the slot"));
        assert!(!is_sole(&sent), "the bytes may be anywhere");
        let attached = slot();
        let mut attachments = Attachments::default();
        attachments.add(&attached, 7);
        drop(attachments.pack().expect("a bundle"));
        assert!(!is_sole(&attached), "another message may have its descriptor");
        let (end, _other) = End::pair().expect("descriptors");
        end.give_to_anybody();
        assert!(!end.is_sole_user());
    });
}

#[test]
fn where_there_is_no_descriptor_nothing_is_certain() {
    Child::check(|| {
        let region = Region::create("millpond-test", 8192).expect("memory");
        // SAFETY: a word of the region, for its address alone.
        let is_sole = || is_sole_user(unsafe { region.start().as_ref() });
        assert!(is_sole());
        // The child cannot be given an inherited lock.
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: it reads the limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        // `Child` needs a descriptor.
        // SAFETY: the child only waits to be killed.
        match unsafe { crate::os::fork::fork() }.expect("fork") {
            crate::os::fork::Forked::Child => sleep_for_ever(),
            crate::os::fork::Forked::Parent(pid) => {
                assert!(!is_sole());
                kill(pid);
                assert!(!is_sole());
            }
        }
    });
}
