//! Workers that write random bytes, ones, zeros and holes into all the memory that they share with
//! their pool. The pool goes on, what it returns is right, and its owner lives.
//!
//! `MILLPOND_DAMAGE_SEEDS` says how many damages of each kind are done.

#[path = "support/seeded.rs"]
mod seeded;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use millpond::sync::SharedSlice;
use millpond::{ErrorKind, Pool, TaskError};
use rustix::fs::{FallocateFlags, fallocate, fstat};
use seeded::{SeededNumbers, seeds};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

const HEADER_PAGE: u64 = 4096;
/// Where the heap of a link and of the control block begins.
const BLOCKS_BEGIN: u64 = 1 << 20;
/// What does not fit into a ring.
const BLOCK_LENGTH: usize = 100_000;

/// Which memory is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum DamagedPlace {
    /// The fixed part of the worker's own link: cursors and event counts on the first page, then
    /// the rings.
    LinkHeader,
    LinkRings,
    /// The blocks of large results.
    LinkHeap,
    Link,
    /// What all workers share: the event count, then the blocks of large arguments.
    CommonsHeader,
    CommonsHeap,
}

impl DamagedPlace {
    fn file(self) -> &'static str {
        match self {
            Self::CommonsHeader | Self::CommonsHeap => "/memfd:millpond-pool",
            _ => "/memfd:millpond-link",
        }
    }

    fn range(self, size: u64) -> (u64, u64) {
        match self {
            Self::LinkHeader | Self::CommonsHeader => (0, HEADER_PAGE),
            Self::LinkRings => (HEADER_PAGE, HEADER_PAGE + (512 << 10)),
            Self::Link => (0, size),
            Self::LinkHeap | Self::CommonsHeap => (BLOCKS_BEGIN.min(size), size),
        }
    }
}

/// What a worker does to its memory, and then.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Damage {
    place: DamagedPlace,
    seed: u64,
}

fn memory(name: &str) -> Vec<OwnedFd> {
    let is_named = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with(name))
    };
    let found = fs::read_dir("/proc/self/fd").unwrap().flatten().filter(is_named);
    let open = |entry: fs::DirEntry| fs::File::options().read(true).write(true).open(entry.path());
    found.map(|entry| OwnedFd::from(open(entry).unwrap())).collect()
}

fn damage(fd: &OwnedFd, place: DamagedPlace, numbers: &mut SeededNumbers) {
    let (begin, end) = place.range(fstat(fd).unwrap().st_size.cast_unsigned());
    let (begin, end) = match numbers.below(3) {
        0 => (begin, end),
        1 => {
            let begin = begin + numbers.below(end - begin);
            (begin, begin + 1 + numbers.below(end - begin))
        }
        _ => {
            // Where the words and the first frames are.
            let begin = (begin + numbers.below((end - begin).min(1024))) & !7;
            (begin, begin + 8)
        }
    };
    let length = end.saturating_sub(begin).min(4 << 20);
    let content = numbers.below(4);
    if content == 0 {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        return fallocate(fd, hole, begin, length.max(1)).unwrap();
    }
    let mut byte = || match content {
        1 => 0,
        2 => 0xff,
        _ => numbers.next().to_le_bytes()[3],
    };
    let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
    rustix::io::pwrite(fd, &bytes, begin).unwrap();
}

/// Damages the memory, after it has noted the culprit's pid.
fn spoil((order, culprit): (Damage, SharedSlice<u32>)) -> u64 {
    // Nobody does it a second time.
    assert_eq!(culprit.load(0), 0, "the task was begun before");
    culprit.store(0, std::process::id());
    let mut numbers = SeededNumbers::new(order.seed);
    // The tasks behind this one are in the ring by now.
    thread::sleep(Duration::from_millis(2));
    let memory = memory(order.place.file());
    assert!(!memory.is_empty());
    memory.iter().for_each(|fd| damage(fd, order.place, &mut numbers));
    match numbers.below(3) {
        0 => std::process::abort(),
        1 => thread::sleep(Duration::from_millis(5)),
        _ => {}
    }
    order.seed
}

/// Notes that it was begun.
fn square_once((number, begun): (u64, SharedSlice<u32>)) -> (u32, u64, u64) {
    begun.as_atomics()[usize::try_from(number).unwrap()].fetch_add(1, Ordering::Relaxed);
    square(number)
}

fn square(number: u64) -> (u32, u64, u64) {
    (std::process::id(), number, number * number)
}

fn reverse(mut bytes: Vec<u8>) -> (u32, Vec<u8>) {
    bytes.reverse();
    (std::process::id(), bytes)
}

fn large(number: usize) -> Vec<u8> {
    (0..BLOCK_LENGTH).map(|n| (n * 7 + number).to_le_bytes()[0]).collect()
}

/// Whether the pool lost the task. What a worker returns that damaged its memory may be anything; what
/// others return is right.
fn is_lost<T>(
    result: Result<(u32, T), TaskError>,
    culprit: u32,
    right: impl FnOnce(&T) -> bool,
) -> bool {
    match result {
        Ok((pid, value)) => assert!(pid == culprit || right(&value), "wrong, from worker {pid}"),
        Err(error) if error.kind() == ErrorKind::Crashed => return true,
        Err(error) => {
            let is_its_own = error.pid() == Some(culprit) || error.kind() == ErrorKind::Codec;
            assert!(is_its_own, "{error}");
        }
    }
    false
}

fn one_damage(order: Damage) {
    let pool = Pool::new(2).unwrap();
    let culprit = SharedSlice::zeroed(1).unwrap();
    assert_eq!(pool.map(square, 0..20).unwrap().len(), 20);
    let before = pool.stats().workers_started;
    let spoilt = pool.spawn(spoil, (order, culprit.clone()));
    let begun = SharedSlice::zeroed(40).unwrap();
    let ask = |n| pool.spawn(square_once, (n, begun.clone()));
    let small: Vec<_> = (0..40).map(ask).collect();
    let blocks: Vec<_> = (0..4).map(|n| pool.spawn(reverse, large(n))).collect();
    if let Err(error) = spoilt.join() {
        assert!([ErrorKind::Crashed, ErrorKind::Codec].contains(&error.kind()), "{error}");
    }
    let mut lost = 0;
    for (n, result) in (0..).zip(small) {
        let result = result.join().map(|(pid, of, square)| (pid, (of, square)));
        let is_lost = is_lost(result, culprit.load(0), |value| *value == (n, n * n));
        let times = begun.load(usize::try_from(n).unwrap());
        assert!(times <= 1, "task {n} was begun {times} times");
        lost += usize::from(is_lost && times == 0);
    }
    // Arguments in blocks are in reach of every worker.
    for (n, result) in blocks.into_iter().enumerate() {
        let expected = || large(n).into_iter().rev();
        let is_equal = |bytes: &Vec<u8>| bytes.iter().copied().eq(expected());
        let is_damaged = order.place == DamagedPlace::CommonsHeap;
        is_lost(result.join(), culprit.load(0), |bytes| is_damaged || is_equal(bytes));
    }
    assert!(lost <= 1, "{lost} tasks that had not begun were lost");
    // Damage that had no effect so far may have one now, once.
    let right: Vec<_> = (0..30).map(|n| (n, n * n)).collect();
    let again = || {
        let squares = pool.map(square, 0..30)?;
        Ok::<_, millpond::Error>(squares.into_iter().map(|(_, of, square)| (of, square)).collect())
    };
    let squares: Vec<_> = again().or_else(|_| again()).unwrap();
    assert_eq!(squares, right);
    let started = pool.stats().workers_started - before;
    assert!(started <= 3, "{started} workers for one that damaged something");
    pool.close();
    pool.join().unwrap();
}

fn damages(place: DamagedPlace) {
    for seed in 0..seeds(24) {
        let _watchdog = Watchdog::start();
        let order = Damage { place, seed: seed * 8 + place as u64 };
        let outcome = std::panic::catch_unwind(|| one_damage(order));
        assert!(outcome.is_ok(), "{order:?}");
    }
}

#[test]
fn the_first_page_of_a_link() {
    damages(DamagedPlace::LinkHeader);
}

#[test]
fn the_rings_of_a_link() {
    damages(DamagedPlace::LinkRings);
}

#[test]
fn the_blocks_of_results() {
    damages(DamagedPlace::LinkHeap);
}

#[test]
fn all_of_a_link() {
    damages(DamagedPlace::Link);
}

#[test]
fn the_first_page_of_the_control_block() {
    damages(DamagedPlace::CommonsHeader);
}

#[test]
fn the_blocks_of_arguments() {
    damages(DamagedPlace::CommonsHeap);
}
