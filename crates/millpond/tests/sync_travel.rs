//! Handles on their way between processes, and what they lead to.

#[path = "support/fork.rs"]
mod fork;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fork::in_a_fork;
use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Barrier, Condvar, Event, Mutex, Semaphore, SharedSlice};
use millpond::{ErrorKind, Pool};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

#[derive(Clone, Serialize, Deserialize)]
struct Everything {
    mutex: Mutex<u64>,
    numbers: Mutex<[u32]>,
    slice: SharedSlice<f32>,
    lock: Lock,
    reentrant: ReentrantLock,
    semaphore: Semaphore,
    changed: Condvar,
    event: Event,
    barrier: Barrier,
}

fn everything() -> Everything {
    Everything {
        mutex: Mutex::new(0).unwrap(),
        numbers: Mutex::from_slice(&[3, 1, 2]).unwrap(),
        slice: SharedSlice::from_slice(&[0.5; 3000]).unwrap(),
        lock: Lock::new().unwrap(),
        reentrant: ReentrantLock::new().unwrap(),
        semaphore: Semaphore::new(0).unwrap(),
        changed: Condvar::new().unwrap(),
        event: Event::new().unwrap(),
        barrier: Barrier::new(2).unwrap(),
    }
}

/// Touches everything, and answers with what came.
fn touch(all: Everything) -> Everything {
    *all.mutex.lock().unwrap() += 1;
    all.numbers.lock().unwrap().sort_unstable();
    all.slice.store(2999, all.slice.load(2999) + 1.0);
    all.lock.acquire().unwrap();
    drop(all.reentrant.lock().unwrap());
    all.semaphore.release().unwrap();
    all.changed.notify_all();
    all.event.set();
    all
}

fn check(all: &Everything, times: u32) {
    assert_eq!(*all.mutex.lock().unwrap(), u64::from(times));
    assert_eq!(*all.numbers.lock().unwrap(), [1, 2, 3]);
    assert_eq!(all.slice.load(2999), 0.5 + times as f32);
    all.lock.release().unwrap();
    assert_eq!(all.reentrant.holder(), None);
    assert_eq!(all.semaphore.available_permits(), times);
    assert!(all.event.is_set());
}

#[test]
fn handles_are_arguments_and_results_of_processes_and_tasks() {
    let _watchdog = Watchdog::start();
    let all = everything();
    let came_back = millpond::spawn(touch, all.clone()).unwrap().join().unwrap();
    check(&came_back, 1);
    let pool = Pool::new(2).unwrap();
    for times in 2..5 {
        let came_back = pool.map(touch, [all.clone()]).unwrap().remove(0);
        check(&came_back, times);
        all.lock.acquire().unwrap();
        check(&all, times);
    }
    // What a task makes and returns is kept by its worker until it has arrived.
    let made = pool.spawn(|n: u64| Mutex::new(n).unwrap(), 7).join().unwrap();
    assert_eq!(*made.lock().unwrap(), 7);
}

#[test]
fn what_a_task_makes_outlives_its_worker() {
    fn make(number: u64) -> (Mutex<u64>, SharedSlice<u64>) {
        // What a task sends elsewhere is not part of its result.
        let sum = |slice: SharedSlice<u64>| slice.to_vec().iter().sum::<u64>();
        let slice = SharedSlice::from_slice(&vec![number; 20_000]).unwrap();
        let sum = millpond::spawn(sum, slice.clone()).unwrap().join().unwrap();
        (Mutex::new(sum).unwrap(), slice)
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::builder().workers(2).max_tasks_per_worker(1).build().unwrap();
    let one = pool.spawn(make, 1);
    let all = pool.spawn_map(make, 2..8_u64);
    pool.close();
    pool.join().unwrap();
    // All workers have ended by now.
    assert_eq!(*one.join().unwrap().0.lock().unwrap(), 20_000);
    for (number, (sum, slice)) in (2..).zip(all.join().unwrap()) {
        assert_eq!(*sum.lock().unwrap(), number * 20_000);
        assert_eq!(slice.load(19_999), number);
    }
}

#[test]
fn every_worker_gets_what_the_initializer_is_given() {
    static GIVEN: OnceLock<(Mutex<u64>, Vec<Event>)> = OnceLock::new();
    fn prepare(total: Mutex<u64>, events: Vec<Event>) {
        events[0].set();
        GIVEN.set((total, events)).unwrap();
    }
    fn add(number: u64) {
        let (total, events) = GIVEN.get().unwrap();
        assert!(events[0].is_set());
        *total.lock().unwrap() += number;
    }

    let _watchdog = Watchdog::start();
    let total = Mutex::new(0).unwrap();
    let events = vec![Event::new().unwrap(), Event::new().unwrap()];
    let builder = Pool::builder().workers(2).max_tasks_per_worker(1);
    // This process has no handle to the events any more; the pool has.
    let pool = builder.initializer_with(prepare, (total.clone(), events)).build().unwrap();
    pool.map_iter(add, 1..=20_u64).for_each(|result| result.unwrap());
    assert_eq!(*total.lock().unwrap(), 210);
}

#[test]
fn what_is_gone_when_its_handle_arrives_says_so() {
    let _watchdog = Watchdog::start();
    let process = millpond::spawn(|| Mutex::new(5_u64).unwrap(), ()).unwrap();
    let pid = process.pid();
    let error = process.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    let expected = format!(
        "the shared object is gone: process {pid}, which sent it, ended or dropped it before it \
         arrived"
    );
    assert!(error.to_string().ends_with(&expected), "{error}");
    let error = millpond::spawn(|_: (Lock, u8)| (), (Lock::new().unwrap(), 1));
    error.unwrap().join().unwrap();
}

#[test]
fn a_stranger_opens_a_handle_from_its_bytes_as_long_as_the_sender_lives() {
    fn own(bytes: SharedSlice<u8>, sent: Event, opened: Event) {
        let number = Mutex::new(41_u64).unwrap();
        bytes.copy_from_slice(0, &postcard::to_stdvec(&number).unwrap());
        sent.set();
        opened.wait();
        *number.lock().unwrap() += 1;
        std::thread::sleep(Duration::from_secs(3600));
    }

    let _watchdog = Watchdog::start();
    // A wire handle has 56 bytes, and postcard puts their number before them.
    let bytes = SharedSlice::<u8>::zeroed(57).unwrap();
    let (sent, opened) = (Event::new().unwrap(), Event::new().unwrap());
    let owner = millpond::spawn(own, (bytes.clone(), sent.clone(), opened.clone())).unwrap();
    sent.wait();
    let number: Mutex<u64> = postcard::from_bytes(&bytes.to_vec()).unwrap();
    opened.set();
    while *number.lock().unwrap() == 41 {
        std::thread::yield_now();
    }
    owner.kill().unwrap();
    owner.join().unwrap_err();
    // A process that has it keeps it; no other can open it any more.
    assert_eq!(*number.lock().unwrap(), 42);
    drop(number);
    let gone = |bytes: Vec<u8>| postcard::from_bytes::<Mutex<u64>>(&bytes).is_err();
    assert!(millpond::spawn(gone, bytes.to_vec()).unwrap().join().unwrap());
}

#[test]
fn a_handle_to_something_else_is_refused() {
    let _watchdog = Watchdog::start();
    let lock = Lock::new().unwrap();
    let bytes = postcard::to_stdvec(&lock).unwrap();
    assert!(postcard::from_bytes::<Event>(&bytes).is_err());
    assert!(postcard::from_bytes::<Lock>(&bytes[..20]).is_err());
    let mut damaged = bytes.clone();
    damaged[3] ^= 1;
    assert!(postcard::from_bytes::<Lock>(&damaged).is_err());
    let again: Lock = postcard::from_bytes(&bytes).unwrap();
    again.acquire().unwrap();
    assert_eq!(lock.holder(), Some(std::process::id()));

    let number = postcard::to_stdvec(&Mutex::new(1_u64).unwrap()).unwrap();
    assert!(postcard::from_bytes::<Mutex<u32>>(&number).is_err());
    // Accesses of another size to the same memory would be a data race.
    let slice = postcard::to_stdvec(&SharedSlice::<u64>::zeroed(8).unwrap()).unwrap();
    assert!(postcard::from_bytes::<SharedSlice<u32>>(&slice).is_err());
    assert!(postcard::from_bytes::<SharedSlice<[u64; 3]>>(&slice).is_err());
}

#[test]
fn a_fork_has_the_handles_and_not_the_guards() {
    let _watchdog = Watchdog::start();
    let all = everything();
    let mut guards = Some((all.mutex.lock().unwrap(), all.lock.lock().unwrap()));
    all.semaphore.release().unwrap();
    let doors = Semaphore::bounded(1).unwrap();
    let mut permit = Some(doors.acquire().unwrap());
    assert!(in_a_fork(|| {
        drop((guards.take(), permit.take()));
        let waits = Duration::from_millis(5);
        all.event.set();
        drop(all.reentrant.lock().unwrap());
        all.mutex.lock_timeout(waits).is_err()
            && all.lock.try_lock().is_err()
            && doors.try_acquire().unwrap().is_none()
            && all.semaphore.try_acquire().unwrap().map(|permit| permit.forget()).is_some()
    }));
    assert!(all.event.is_set());
    let me = Some(std::process::id());
    assert_eq!((all.mutex.holder(), all.lock.holder()), (me, me));
    drop((guards, permit));
    assert_eq!((all.mutex.holder(), doors.available_permits()), (None, 1));
}

#[test]
fn slices_are_shared_and_bounded() {
    fn count(counts: SharedSlice<u32>, times: u32) {
        for n in 0..times {
            counts.as_atomics()[(n % 2) as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    let _watchdog = Watchdog::start();
    let counts = SharedSlice::<u32>::zeroed(2).unwrap();
    let other = millpond::spawn(count, (counts.clone(), 10_000)).unwrap();
    count(counts.clone(), 10_000);
    other.join().unwrap();
    assert_eq!(counts.to_vec(), [10_000, 10_000]);

    let points = SharedSlice::from_slice(&[[0.0_f64; 3]; 4]).unwrap();
    points.copy_from_slice(2, &[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let mut last = [[0.0; 3]; 2];
    points.copy_to_slice(2, &mut last);
    assert_eq!((last[1], points.load(2), points.len()), ([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], 4));
    let beyond = std::panic::catch_unwind(|| points.store(4, [0.0; 3])).unwrap_err();
    let message = beyond.downcast_ref::<String>().unwrap();
    assert_eq!(message, "1 elements from 4 on exceed a shared slice of 4");
    assert!(SharedSlice::<u8>::from_slice(&[]).unwrap().is_empty());
}

#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let _watchdog = Watchdog::start();
    for error in [
        SharedSlice::<u64>::zeroed(usize::MAX / 8).unwrap_err(),
        SharedSlice::<u64>::zeroed(1 << 57).unwrap_err(),
        Mutex::<[u64]>::zeroed(usize::MAX).unwrap_err(),
        Mutex::<[u64]>::zeroed(1 << 57).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().starts_with("could not make a shared object: "), "{error}");
    }
}

#[test]
fn handles_cross_threads_and_can_be_shown() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Everything>();
    let all = everything();
    assert_eq!(format!("{:?}", all.mutex), "Mutex { holder: None, .. }");
    assert_eq!(format!("{:?}", all.lock), "Lock { holder: None, .. }");
    assert_eq!(format!("{:?}", all.event), "Event { is_set: false }");
    assert_eq!(format!("{:?}", all.semaphore), "Semaphore { available_permits: 0, .. }");
    assert_eq!(format!("{:?}", all.slice), "SharedSlice { len: 3000, .. }");
    let barrier = "Barrier { parties: 2, waiting: 0, is_broken: false }";
    assert_eq!(format!("{:?}", all.barrier), barrier);
    assert_eq!(format!("{:?}", all.numbers.lock().unwrap()), "[3, 1, 2]");
}
