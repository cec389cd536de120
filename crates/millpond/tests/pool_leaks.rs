//! What a pool leaves behind: nothing. One test, since it counts what belongs to the whole program.

#[path = "support/children.rs"]
mod children;
#[path = "support/kill.rs"]
mod kill;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::time::Duration;
use std::{fs, thread};

use children::children;
use kill::kill;
use millpond::Pool;
use watchdog::Watchdog;

millpond::init_before_main!();

fn square(number: u64) -> u64 {
    number * number
}

fn nap(_: u64) {
    thread::sleep(Duration::from_secs(3600));
}

fn bytes(length: usize) -> Vec<u8> {
    vec![1; length]
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// Uses a pool in every way.
fn use_up(pool: &Pool) {
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
    assert_eq!(pool.map_unordered(square, 0..).take(50).count(), 50);
    assert_eq!(pool.spawn(bytes, 3_000_000).join().unwrap().len(), 3_000_000);
    kill(pool.spawn(|()| std::process::id(), ()).join().unwrap());
    assert_eq!(pool.spawn(square, 3).join().unwrap(), 9);
    drop(pool.spawn(square, 1));
}

fn close_and_join(pool: Pool) {
    use_up(&pool);
    pool.close();
    pool.join().unwrap();
    assert!(children(std::process::id()).is_empty(), "before it is dropped");
}

fn terminate_and_join(pool: Pool) {
    use_up(&pool);
    drop(pool.spawn_map(nap, 0..100));
    pool.terminate();
    pool.join().unwrap();
    assert!(children(std::process::id()).is_empty(), "before it is dropped");
}

fn drop_idle(pool: Pool) {
    use_up(&pool);
}

fn drop_busy(pool: Pool) {
    drop(pool.spawn_map(nap, 0..100));
}

fn drop_at_once(_: Pool) {}

fn drop_closed(pool: Pool) {
    drop(pool.spawn_map(nap, 0..100));
    pool.close();
}

fn lose_the_zygote(pool: Pool) {
    use_up(&pool);
    children(std::process::id()).into_iter().for_each(kill);
    use_up(&pool);
}

#[test]
fn nothing_is_left() {
    let _watchdog = Watchdog::start();
    let (files, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    for round in 0..3 {
        for end in [
            close_and_join,
            terminate_and_join,
            drop_idle,
            drop_busy,
            drop_at_once,
            drop_closed,
            lose_the_zygote,
        ] {
            end(Pool::new(2).unwrap());
            assert!(children(std::process::id()).is_empty());
        }
        fn fails() {
            std::panic::resume_unwind(Box::new("as it should"))
        }
        let broken = Pool::builder().workers(2).initializer(fails).build().unwrap();
        broken.spawn(square, 1).join().unwrap_err();
        drop(broken);
        assert!(children(std::process::id()).is_empty(), "in round {round}");
        // The engine lets go of its own an instant after the pool has ended.
        while (entries("/proc/self/fd"), entries("/proc/self/task")) != (files, threads) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    a_worker_has_only_what_is_meant_for_it();
}

fn a_worker_has_only_what_is_meant_for_it() {
    fn descriptors(_: ()) -> Vec<String> {
        let list = fs::read_dir("/proc/self/fd").unwrap().flatten();
        list.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()))
            .filter(|target| !target.ends_with("/fd"))
            .collect()
    }

    let stray = fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    let pool = Pool::new(2).unwrap();
    for _ in 0..2 {
        let open = pool.spawn(descriptors, ()).join().unwrap();
        assert!(open.iter().all(|target| target != "/dev/zero"), "{open:?}");
        let count = |kind: &str| open.iter().filter(|target| target.contains(kind)).count();
        assert_eq!(count("pidfd"), 1, "the owner, and no other worker: {open:?}");
        // Its own link, which its heap has open too.
        assert!(count("memfd:millpond-link") <= 2, "{open:?}");
        assert_eq!(count("socket"), 1, "its own, for bundles: {open:?}");
        assert!(open.len() <= 9, "{open:?}");
    }
    let programs = |()| {
        let list = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap();
        String::from_utf8(list.stdout).unwrap().lines().count()
    };
    // The standard streams, and that of the listing.
    assert_eq!(pool.spawn(programs, ()).join().unwrap(), 4, "a program inherits from a worker");
}
