//! What was sent is there, whatever becomes of its sender: every kind of object by every way.

#[path = "support/watchdog.rs"]
mod watchdog;

use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Barrier, Condvar, Event, Mutex, Semaphore, SharedSlice};
use millpond::{ErrorKind, Pool, Queue, Receiver, Sender};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

/// One of each kind, and those of small ones that share memory twice.
#[derive(Serialize, Deserialize)]
struct Everything {
    mutex: Mutex<u64>,
    numbers: Mutex<[u32]>,
    slice: SharedSlice<f32>,
    large: SharedSlice<u64>,
    locks: (Lock, Lock),
    reentrant: ReentrantLock,
    semaphore: Semaphore,
    changed: Condvar,
    event: Event,
    barrier: Barrier,
    queue: Queue<u32>,
    sender: Sender<String>,
    receiver: Receiver<String>,
    /// Its sender is gone already, and a message is in it.
    rest: Receiver<Mutex<u64>>,
}

fn make(number: u64) -> Everything {
    let (sender, receiver) = millpond::channel().unwrap();
    let (last, rest) = millpond::channel().unwrap();
    last.send(Mutex::new(number).unwrap()).unwrap();
    drop(last);
    Everything {
        mutex: Mutex::new(number).unwrap(),
        numbers: Mutex::from_slice(&[3, 1, 2]).unwrap(),
        slice: SharedSlice::from_slice(&[0.5; 30]).unwrap(),
        large: SharedSlice::from_slice(&vec![number; 20_000]).unwrap(),
        locks: (Lock::new().unwrap(), Lock::new().unwrap()),
        reentrant: ReentrantLock::new().unwrap(),
        semaphore: Semaphore::new(1).unwrap(),
        changed: Condvar::new().unwrap(),
        event: Event::new().unwrap(),
        barrier: Barrier::new(1).unwrap(),
        queue: Queue::new().unwrap(),
        sender,
        receiver,
        rest,
    }
}

fn check(all: &Everything, number: u64) {
    *all.mutex.lock().unwrap() += 1;
    assert_eq!(*all.mutex.lock().unwrap(), number + 1);
    all.numbers.lock().unwrap().sort_unstable();
    assert_eq!(*all.numbers.lock().unwrap(), [1, 2, 3]);
    assert_eq!(all.slice.load(29), 0.5);
    assert_eq!(all.large.load(19_999), number);
    all.locks.0.acquire().unwrap();
    all.locks.1.acquire().unwrap();
    drop(all.reentrant.lock().unwrap());
    drop(all.semaphore.acquire().unwrap());
    all.changed.notify_all();
    all.event.set();
    all.event.wait();
    all.barrier.wait().unwrap();
    all.queue.push(7).unwrap();
    assert_eq!(all.queue.pop().unwrap(), 7);
    all.sender.send("a message".to_owned()).unwrap();
    assert_eq!(all.receiver.recv().unwrap().unwrap(), "a message");
}

/// Also what is in the channel that was sent: its sender has to live for that.
fn check_rest(all: &Everything, number: u64) {
    assert_eq!(*all.rest.recv().unwrap().unwrap().lock().unwrap(), number);
    assert!(all.rest.recv().unwrap().is_none());
}

fn make_or_die(number: Option<u64>) -> Everything {
    make(number.unwrap_or_else(|| std::process::abort()))
}

#[test]
fn results_outlive_their_workers() {
    let _watchdog = Watchdog::start();
    for tasks in [1, 3] {
        let builder = Pool::builder().workers(2).max_tasks_per_worker(tasks);
        let pool = builder.build().unwrap();
        let one = pool.spawn(make, 1);
        let refused = pool.spawn(|number| Err::<(), _>(Box::new(make(number))), 2);
        let chunks = pool.spawn_map(make, 3..12_u64);
        pool.close();
        pool.join().unwrap();
        // All workers have ended by now.
        check(&one.join().unwrap(), 1);
        check(refused.join().unwrap().as_ref().unwrap_err(), 2);
        for (number, all) in (3..).zip(chunks.join().unwrap()) {
            check(&all, number);
        }
    }
}

#[test]
fn results_outlive_workers_that_crash_next() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    for number in 0..10 {
        let made = pool.spawn(make_or_die, Some(number));
        let killed = pool.spawn(make_or_die, None);
        assert_eq!(killed.join().map(drop).unwrap_err().kind(), ErrorKind::Crashed);
        check(&made.join().unwrap(), number);
    }
}

#[test]
fn arguments_are_there_though_nobody_else_has_them() {
    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).max_tasks_per_worker(1).build().unwrap();
    let use_it = |(all, number): (Everything, u64)| {
        check(&all, number);
        check_rest(&all, number);
    };
    let used: Vec<_> = (0..6).map(|number| pool.spawn(use_it, (make(number), number))).collect();
    used.into_iter().for_each(|used| used.join().unwrap());
    pool.map_iter(use_it, (0..6).map(|number| (make(number), number)))
        .for_each(|used| used.unwrap());
    let use_it = |all: Everything, number: u64| check(&all, number);
    millpond::spawn(use_it, (make(5), 5)).unwrap().join().unwrap();
}

#[test]
fn items_are_there_when_their_sender_has_them() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = millpond::channel::<Everything>().unwrap();
    let (done, wait) = millpond::channel::<()>().unwrap();
    let send = |sender: Sender<Everything>, wait: Receiver<()>| {
        (0..5).for_each(|number| sender.send(make(number)).map_err(drop).unwrap());
        wait.recv().unwrap();
    };
    let process = millpond::spawn(send, (sender, wait)).unwrap();
    for number in 0..5 {
        let all = receiver.recv().unwrap().unwrap();
        check(&all, number);
        check_rest(&all, number);
    }
    done.send(()).unwrap();
    process.join().unwrap();
}
