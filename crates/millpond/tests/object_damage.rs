//! Processes that write random bytes, ones, zeros and holes into the memory of an object that they
//! share with others. Each call of those ends, with a result or with an error; nobody panics or dies.
//!
//! `MILLPOND_DAMAGE_SEEDS` says how many damages of each kind are done.

#[path = "support/seeded.rs"]
mod seeded;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Barrier, Condvar, Event, Mutex, Semaphore, SharedSlice, TryLockError};
use millpond::{Connection, Result};
use millpond::{ErrorKind, Queue, Receiver, Sender, channel, pipe};
use seeded::{SeededNumbers, seeds};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

const SHORT: Duration = Duration::from_millis(30);
/// How much of a mapping is searched for words that are in use.
const SEARCHED: usize = 256 << 10;
const LARGE: usize = 100_000;

/// An object, and what goes with it.
#[derive(Clone, Serialize, Deserialize)]
enum Thing {
    Mutex(Mutex<u64>),
    Lock(Lock),
    ReentrantLock(ReentrantLock),
    Semaphore(Semaphore),
    Condvar(Condvar, Mutex<u64>),
    Event(Event),
    Barrier(Barrier),
    Queue(Queue<Vec<u8>>),
    Channel(Sender<Vec<u8>>, Receiver<Vec<u8>>),
    Pipe(Connection<Vec<u8>, Vec<u8>>, Connection<Vec<u8>, Vec<u8>>),
    Slice(SharedSlice<u64>),
}

fn free<G>(taken: std::result::Result<G, TryLockError<G>>) {
    // Poisoned: the guard is in the error.
    drop(taken);
}

/// Makes the calls that every process makes. Errors are as good as results.
fn use_it(thing: &Thing) {
    match thing {
        Thing::Mutex(mutex) => {
            free(mutex.lock_timeout(SHORT));
            free(mutex.try_lock());
        }
        Thing::Lock(lock) => {
            free(lock.lock_timeout(SHORT));
            free(lock.try_lock());
            let _ = lock.release();
        }
        Thing::ReentrantLock(lock) => {
            free(lock.lock_timeout(SHORT));
            free(lock.try_lock());
            let _ = lock.release();
        }
        Thing::Semaphore(semaphore) => {
            for _ in 0..3 {
                drop(semaphore.acquire_timeout(SHORT));
            }
            drop(semaphore.try_acquire());
            let _ = semaphore.release();
            semaphore.available_permits();
        }
        Thing::Condvar(condvar, mutex) => {
            if let Ok(guard) = mutex.lock_timeout(SHORT) {
                let _ = condvar.wait_timeout(guard, SHORT);
            }
            condvar.notify_one();
            condvar.notify_all();
        }
        Thing::Event(event) => {
            let _ = event.wait_timeout(SHORT);
            event.set();
            let _ = event.wait_timeout(SHORT);
            event.clear();
        }
        Thing::Barrier(barrier) => {
            let _ = barrier.wait_timeout(SHORT);
            barrier.reset();
            let _ = barrier.wait_timeout(SHORT);
            barrier.abort();
        }
        Thing::Queue(queue) => {
            for length in [20, LARGE] {
                let _ = queue.push_timeout(vec![7; length], SHORT);
            }
            for _ in 0..3 {
                let _ = queue.pop_timeout(SHORT);
            }
            let _ = (queue.len(), queue.is_full(), queue.try_pop());
        }
        Thing::Channel(sender, receiver) => {
            for length in [20, LARGE] {
                let _ = sender.send_timeout(vec![7; length], SHORT);
            }
            for _ in 0..3 {
                let _ = receiver.recv_timeout(SHORT);
            }
        }
        Thing::Pipe(here, there) => {
            for (to, from) in [(here, there), (there, here)] {
                let _ = to.sender().send_timeout(vec![7; 20], SHORT);
                let _ = from.recv_timeout(SHORT);
                let _ = from.try_recv();
            }
        }
        Thing::Slice(slice) => {
            slice.store(3, slice.load(2));
            let _ = slice.to_vec();
        }
    }
}

fn used(thing: Thing) {
    use_it(&thing);
}

/// Uses the object, damages it, and uses it again or dies.
fn spoil((thing, seed): (Thing, u64)) {
    use_it(&thing);
    let mut numbers = SeededNumbers::new(seed);
    damage(&mut numbers);
    match numbers.below(3) {
        0 => use_it(&thing),
        1 => {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .unwrap()
        }
        _ => {}
    }
}

/// Where this process has memory that others have, too: start and length.
fn mappings() -> Vec<(u64, usize)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_shared = |line: &&str| line.contains(" rw-s ") && line.contains("/memfd:millpond");
    let range = |line: &str| {
        let (start, rest) = line.split_once('-').unwrap();
        let end = rest.split(' ').next().unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        (start, usize::try_from(end - start).unwrap())
    };
    maps.lines().filter(is_shared).map(range).collect()
}

fn damage(numbers: &mut SeededNumbers) {
    let mappings = mappings();
    let (start, length) = mappings[numbers.below(mappings.len() as u64) as usize];
    // By the file of this process' memory: where a mapping has no memory that is no signal.
    let memory = File::options().read(true).write(true).open("/proc/self/mem").unwrap();
    let mut content = vec![0; length.min(SEARCHED)];
    let _ = memory.read_at(&mut content, start);
    let is_used = |&at: &usize| content[at..at + 8].iter().any(|&byte| byte != 0);
    let in_use: Vec<_> = (0..content.len() / 8).map(|n| n * 8).filter(is_used).collect();
    let (at, count) = match numbers.below(4) {
        0 => (0, length.min(4 << 20)),
        1 => (numbers.below(length as u64 / 4096) as usize * 4096, 4096),
        _ if in_use.is_empty() => (0, 8),
        _ => (in_use[numbers.below(in_use.len() as u64) as usize], 8),
    };
    let kind = numbers.below(5);
    let mut byte = |n: usize| match kind {
        0 => 0,
        1 => 0xff,
        // A small number.
        2 => u8::from(n.is_multiple_of(8)),
        _ => numbers.next().to_le_bytes()[3],
    };
    let bytes: Vec<u8> = (0..count).map(&mut byte).collect();
    let _ = memory.write_at(&bytes, start + at as u64);
}

/// In a process of its own, as small objects lie together in memory that is damaged, too.
fn one_damage((make, seed): (usize, u64)) {
    let thing = MAKERS[make]().unwrap();
    let culprit = millpond::spawn(spoil, (thing.clone(), seed)).unwrap();
    // It may die by the signal that it sends to itself.
    if let Err(error) = culprit.join() {
        assert_eq!((error.kind(), error.signal()), (ErrorKind::Crashed, Some(9)), "{error}");
    }
    // Its handle may lead to what is no such object any more: then it is refused.
    let other = millpond::spawn(used, thing.clone());
    use_it(&thing);
    if let Ok(other) = other
        && let Err(error) = other.join()
    {
        assert_eq!(error.kind(), ErrorKind::Codec, "{error}");
    }
}

fn damages(make: usize) {
    for seed in 0..seeds(8) {
        let _watchdog = Watchdog::start();
        let case = millpond::spawn(one_damage, (make, seed)).unwrap();
        let ended = case.join();
        assert!(ended.is_ok(), "seed {seed}: {}", ended.unwrap_err());
    }
}

const MAKERS: [fn() -> Result<Thing>; 12] = [
    || Ok(Thing::Mutex(Mutex::new(5)?)),
    || Ok(Thing::Lock(Lock::new()?)),
    || Ok(Thing::ReentrantLock(ReentrantLock::new()?)),
    || Ok(Thing::Semaphore(Semaphore::new(3)?)),
    || Ok(Thing::Semaphore(Semaphore::bounded(3)?)),
    || Ok(Thing::Condvar(Condvar::new()?, Mutex::new(5)?)),
    || Ok(Thing::Event(Event::new()?)),
    || Ok(Thing::Barrier(Barrier::new(2)?)),
    || Ok(Thing::Queue(Queue::bounded(20)?)),
    || channel().map(|(sender, receiver)| Thing::Channel(sender, receiver)),
    || pipe().map(|(here, there)| Thing::Pipe(here, there)),
    || Ok(Thing::Slice(SharedSlice::zeroed(1000)?)),
];

macro_rules! kinds {
    ($($name:ident: $make:expr;)*) => {$(
        #[test]
        fn $name() {
            damages($make);
        }
    )*};
}

kinds! {
    a_mutex: 0;
    a_lock: 1;
    a_reentrant_lock: 2;
    a_semaphore: 3;
    a_bounded_semaphore: 4;
    a_condition: 5;
    an_event: 6;
    a_barrier: 7;
    a_queue: 8;
    a_channel: 9;
    a_pipe: 10;
    a_slice: 11;
}
