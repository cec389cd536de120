//! Waits notice deaths: they sleep on several words, which nothing else does.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::fs;
use std::thread;
use std::time::Duration;

use millpond::channel;
use millpond::sync::{Event, Mutex, Semaphore};
use watchdog::Watchdog;

millpond::init_before_main!();

fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

/// Waits until some thread of a process sleeps so that a death would end it. Before Linux 5.16 none does:
/// then this is no test of how the wait notices the death, only that it does.
fn until_it_hears(pid: u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    let release: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    // The number of `futex_waitv`.
    let watches = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("syscall")).is_ok_and(|call| call.starts_with("449 "))
    };
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    while release >= (5, 16) && !threads().any(|thread| watches(thread.unwrap())) {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_the_owner_of_a_mutex() {
    fn hold(mutex: Mutex<u64>, held: Event) {
        let _guard = mutex.lock().unwrap();
        held.set();
        sleep_for_ever();
    }
    fn wait(mutex: Mutex<u64>) -> bool {
        mutex.lock().is_err()
    }

    let _watchdog = Watchdog::start();
    let (mutex, held) = (Mutex::new(0).unwrap(), Event::new().unwrap());
    let owner = millpond::spawn(hold, (mutex.clone(), held.clone())).unwrap();
    held.wait();
    let waiter = millpond::spawn(wait, mutex.clone()).unwrap();
    until_it_hears(waiter.pid());
    owner.kill().unwrap();
    assert!(waiter.join().unwrap(), "the mutex is poisoned");
}

#[test]
fn of_the_holder_of_a_permit() {
    fn hold(semaphore: Semaphore, held: Event) {
        let _permit = semaphore.acquire();
        held.set();
        sleep_for_ever();
    }
    fn wait(semaphore: Semaphore) {
        let _permit = semaphore.acquire();
    }

    let _watchdog = Watchdog::start();
    let (semaphore, held) = (Semaphore::new(1).unwrap(), Event::new().unwrap());
    let holder = millpond::spawn(hold, (semaphore.clone(), held.clone())).unwrap();
    held.wait();
    let waiter = millpond::spawn(wait, semaphore.clone()).unwrap();
    until_it_hears(waiter.pid());
    holder.kill().unwrap();
    waiter.join().unwrap();
}

#[test]
fn of_the_last_sender() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = channel::<u64>().unwrap();
    let started = Event::new().unwrap();
    fn hold(sender: millpond::Sender<u64>, started: Event) {
        started.set();
        let _sender = sender;
        sleep_for_ever();
    }
    fn wait(receiver: millpond::Receiver<u64>) -> bool {
        receiver.recv().unwrap().is_none()
    }
    let holder = millpond::spawn(hold, (sender, started.clone())).unwrap();
    started.wait();
    let waiter = millpond::spawn(wait, receiver).unwrap();
    until_it_hears(waiter.pid());
    holder.kill().unwrap();
    assert!(waiter.join().unwrap(), "nobody can send");
}
