//! Ends of channels in the results of a pool: each counts once, however often it is got.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::time::Duration;

use millpond::{Job, Pool, Queue, Receiver, RecvTimeoutError, Sender, channel};
use watchdog::Watchdog;

millpond::init_before_main!();

fn echo(sender: Sender<u64>) -> Sender<u64> {
    sender
}

type Twins = (Pool, Job<Sender<u64>>, Queue<Sender<u64>>, Receiver<u64>);

/// A channel with one sender in a result, which is there, and one on its way.
fn with_twin() -> Twins {
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel::<u64>().unwrap();
    let result = pool.spawn(echo, sender.clone());
    result.wait();
    let slow = Queue::new().unwrap();
    slow.push(sender).unwrap();
    (pool, result, slow, receiver)
}

fn is_open(receiver: &Receiver<u64>) -> bool {
    match receiver.recv_timeout(Duration::from_millis(120)) {
        Err(RecvTimeoutError::Timeout) => true,
        ended => {
            assert_eq!(ended.unwrap(), None);
            false
        }
    }
}

/// Waits until no end is left: a worker lets go of its own after it has sent a result.
fn assert_ends(receiver: &Receiver<u64>) {
    assert!(receiver.recv().unwrap().is_none());
}

#[test]
fn a_result_does_not_count_for_ends_that_are_on_their_way() {
    let _watchdog = Watchdog::start();
    let (_pool, result, slow, receiver) = with_twin();
    let got = result.join().unwrap();
    got.send(5).unwrap();
    assert_eq!(receiver.recv().unwrap().unwrap(), 5);
    drop(got);
    assert!(is_open(&receiver));
    drop(slow.pop().unwrap());
    assert_ends(&receiver);
}

#[test]
fn ends_in_results_that_nobody_gets_are_gone_with_them() {
    fn late(sender: Sender<u64>) -> Sender<u64> {
        std::thread::sleep(Duration::from_millis(100));
        sender
    }

    let _watchdog = Watchdog::start();
    let (_pool, result, slow, receiver) = with_twin();
    drop(slow.pop().unwrap());
    assert!(is_open(&receiver));
    drop(result);
    assert_ends(&receiver);
    // Before it is there.
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel::<u64>().unwrap();
    drop(pool.spawn(late, sender));
    // The pool takes results in when it is used.
    assert_eq!(pool.spawn(u64::count_ones, 7).join().unwrap(), 3);
    assert!(receiver.recv().unwrap().is_none());
}

#[test]
fn ends_in_the_results_of_maps_count_once() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let (sender, receiver) = channel::<u64>().unwrap();
    let clones = || (0..7).map(|_| sender.clone()).collect::<Vec<_>>();
    let result = pool.spawn_map(echo, clones());
    let first = result.join().unwrap();
    assert_eq!(first.len(), 7);
    let mapped = pool.map(echo, clones()).unwrap();
    let lazy: Vec<_> = pool.map_iter(echo, clones()).collect::<Result<_, _>>().unwrap();
    drop((first, mapped, lazy));
    assert!(is_open(&receiver));
    drop(sender);
    assert_ends(&receiver);
}
