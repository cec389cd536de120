//! A waiter that notices a death looks at once: here nothing else would end its sleep.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::channel::queue::{End, GetError, Options, Queue};
use crate::os::identity::ProcessId;
use crate::shm::shared::Shared;
use crate::sync::barrier::{Arrival, Barrier, Crossing};
use crate::sync::condition::{Condition, Notified};
use crate::sync::event::Event;
use crate::sync::lock::Lock;
use crate::sync::robust::Taken;
use crate::sync::semaphore::Semaphore;
use crate::sync::testing::{Child, sleep_for_ever, until};

/// Runs a test in a process that shares memory with its own children alone. In that of all tests some
/// process may not be seen.
fn alone(test: impl FnOnce()) {
    Child::check(test);
}

/// Whether the first thread of a process sleeps on several words.
fn watches(process: &Child) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{}/syscall", process.pid()));
    call.expect("procfs").starts_with(&format!("{} ", libc::SYS_futex_waitv))
}

/// Has a process that did `hold` die while another sleeps in `wait`, which fails if it does not see that.
fn death(hold: impl FnOnce(), wait: impl FnOnce() + std::panic::UnwindSafe) {
    let ready = Shared::<Event>::zeroed().expect("memory");
    let holder = Child::run(|| {
        hold();
        ready.set();
        sleep_for_ever();
    });
    assert_eq!(ready.wait(None), Ok(true));
    let waiter = Child::run_checked(|| {
        never_recheck();
        wait();
    });
    until(|| watches(&waiter));
    holder.kill();
    waiter.succeed();
}

#[test]
fn of_the_holder_of_a_lock() {
    alone(|| {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        death(
            || assert_eq!(lock.acquire(None), Taken::Clean),
            || assert!(matches!(lock.acquire(None), Taken::OwnerDied(_))),
        );
    });
}

#[test]
fn of_the_holder_of_a_permit() {
    alone(|| {
        let semaphore = Shared::<Semaphore>::zeroed().expect("memory");
        semaphore.start(1, 1);
        death(
            || assert_eq!(semaphore.acquire(None), Ok(Taken::Clean)),
            || assert_eq!(semaphore.acquire(None), Ok(Taken::Clean)),
        );
    });
}

#[test]
fn of_a_party() {
    alone(|| {
        let barrier = Shared::<Barrier>::zeroed().expect("memory");
        barrier.start(3).expect("places");
        death(
            || assert!(matches!(barrier.arrive(), Arrival::Early { .. })),
            || {
                let Arrival::Early { generation, .. } = barrier.arrive() else {
                    panic!("the second")
                };
                assert_eq!(barrier.wait(generation, None), Crossing::Broken);
            },
        );
    });
}

#[test]
fn of_one_that_was_notified() {
    alone(|| {
        let condition = Shared::<Condition>::zeroed().expect("memory");
        death(
            || {
                let _place = condition.register();
                condition.notify(1);
            },
            || {
                let place = condition.register();
                assert_eq!(condition.wait(&place, None), Notified::Yes);
            },
        );
    });
}

#[test]
fn of_the_last_producer() {
    alone(|| {
        let queue = Queue::create(Options::default()).expect("memory");
        queue.send_end(End::Producers);
        death(
            || queue.arrive_at_end(End::Producers).expect("memory"),
            || {
                let mut buffer = Vec::new();
                assert!(matches!(queue.get(&mut buffer, None), Err(GetError::Closed)));
            },
        );
    });
}

#[test]
fn of_one_that_joined_while_others_slept() {
    alone(|| {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let (first, second) = (Shared::<Event>::zeroed(), Shared::<Event>::zeroed());
        let (first, second) = (first.expect("memory"), second.expect("memory"));
        let holder = Child::run(|| {
            assert_eq!(lock.acquire(None), Taken::Clean);
            first.set();
            // Wakes none: the one that sleeps is not the next.
            assert_eq!(second.wait(None), Ok(true));
            sleep_for_ever();
        });
        assert_eq!(first.wait(None), Ok(true));
        let waiter = Child::run_checked(|| {
            never_recheck();
            assert!(matches!(lock.acquire(None), Taken::OwnerDied(_)));
        });
        until(|| watches(&waiter));
        let newcomer = Child::run(|| {
            let was = lock.holder().expect("it is held");
            // As if it had been given to this process by the other.
            lock.word().pretend(was, ProcessId::current());
            second.set();
            sleep_for_ever();
        });
        assert_eq!(second.wait(None), Ok(true));
        until(|| watches(&waiter));
        newcomer.kill();
        waiter.succeed();
        drop(holder);
    });
}

#[test]
fn a_fork_ends_the_watch_and_waits_subscribe_anew() {
    alone(|| {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let holder = Child::run(|| {
            assert_eq!(lock.acquire(None), Taken::Clean);
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        let (told, forked) = (Shared::<Event>::zeroed(), Shared::<Event>::zeroed());
        let (told, forked) = (told.expect("memory"), forked.expect("memory"));
        let watching = || {
            let open = std::fs::read_dir("/proc/self/fd").expect("procfs");
            let links = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
            let is_watching = |link: &String| link.contains("pidfd") || link.contains("eventfd");
            links.map(|link| link.to_string_lossy().into_owned()).filter(is_watching).count()
        };
        let waiter = Child::run_checked(|| {
            never_recheck();
            let before = watching();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(told.wait(None), Ok(true));
                    assert!(watching() > before);
                    Child::check(|| assert_eq!(watching(), before));
                    forked.set();
                });
                assert!(matches!(lock.acquire(None), Taken::OwnerDied(_)));
            });
        });
        until(|| watches(&waiter));
        told.set();
        assert_eq!(forked.wait(None), Ok(true));
        until(|| watches(&waiter));
        holder.kill();
        waiter.succeed();
    });
}

#[test]
fn the_thread_is_no_second_one_for_who_asks_and_gone_before_a_fork() {
    alone(|| {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let holder = Child::run(|| {
            assert_eq!(lock.acquire(None), Taken::Clean);
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        let waiter = Child::run_checked(|| {
            assert!(matches!(lock.acquire(None), Taken::OwnerDied(_)));
            let threads = || std::fs::read_dir("/proc/self/task").expect("procfs").count();
            assert_eq!(threads(), 2);
            assert!(crate::os::quiescence::is_alone());
            Child::run(|| ()).join();
            assert_eq!(threads(), 1);
        });
        until(|| watches(&waiter));
        holder.kill();
        waiter.succeed();
    });
}

#[test]
fn of_more_than_can_be_watched_slices_end_the_wait() {
    alone(|| {
        let lock = Shared::<Lock>::zeroed().expect("memory");
        let present = Shared::<Semaphore>::zeroed().expect("memory");
        present.start(0, u32::MAX);
        let holder = Child::run(|| {
            assert_eq!(lock.acquire(None), Taken::Clean);
            sleep_for_ever();
        });
        until(|| lock.holder().is_some());
        // With this process one more than an eighth of 64 descriptors, also once the holder is dead.
        let others: Vec<_> = (0..8)
            .map(|_| {
                Child::run(|| {
                    present.release().expect("room");
                    sleep_for_ever();
                })
            })
            .collect();
        until(|| present.value() == 8);
        let seen = Shared::<Event>::zeroed().expect("memory");
        let waiter = Child::run_checked(|| {
            let all = getrlimit(Resource::Nofile);
            let few = Rlimit { current: Some(64), ..all };
            setrlimit(Resource::Nofile, few).expect("lower");
            never_recheck();
            seen.set();
            assert!(matches!(lock.acquire(None), Taken::OwnerDied(_)));
            setrlimit(Resource::Nofile, all).expect("as before");
            assert_eq!(std::fs::read_dir("/proc/self/task").expect("procfs").count(), 1);
        });
        assert_eq!(seen.wait(None), Ok(true));
        holder.kill();
        waiter.succeed();
        drop(others);
    });
}
