//! Waits that nobody alive can end. Each in a process of one thread, which a test is not.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use millpond::sync::Barrier;
use millpond::sync::raw::Lock;
use millpond::{ErrorKind, Pool, Queue, Sender, bounded_channel, channel, pipe};
use watchdog::Watchdog;

millpond::init_before_main!();

/// Longer than it takes to find a deadlock.
const LATE: Duration = Duration::from_millis(1500);

fn is_deadlock<T: std::fmt::Debug, E: Into<millpond::Error>>(result: Result<T, E>) {
    let error: millpond::Error = result.map_err(Into::into).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
}

fn nobody_else() {
    let queue = Queue::<u32>::bounded(1).unwrap();
    is_deadlock(queue.pop());
    queue.push(1).unwrap();
    assert_eq!(queue.push(2).unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(queue.pop().unwrap(), 1);
    let (_sender, receiver) = channel::<u32>().unwrap();
    is_deadlock(receiver.recv());
    let (sender, _receiver) = bounded_channel::<u32>(1).unwrap();
    sender.send(1).unwrap();
    assert_eq!(sender.send(2).unwrap_err().kind(), ErrorKind::Deadlock);
    let (ours, _theirs) = pipe::<u32, u32>().unwrap();
    is_deadlock(ours.recv());
    let barrier = Barrier::new(2).unwrap();
    is_deadlock(barrier.wait());
    assert!(barrier.is_broken());
}

fn the_others_are_dead() {
    fn crash(_sender: Sender<u32>) {
        std::process::abort();
    }

    let (sender, receiver) = channel::<u32>().unwrap();
    let send = |sender: Sender<u32>| sender.send(1).unwrap();
    millpond::spawn(send, sender.clone()).unwrap().join().unwrap();
    millpond::spawn(crash, sender.clone()).unwrap().join().unwrap_err();
    assert_eq!(receiver.recv().unwrap().unwrap(), 1);
    is_deadlock(receiver.recv());
}

fn parties_are_dead() {
    fn wait(barrier: Barrier) {
        let kind = barrier.wait().unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Deadlock | ErrorKind::BrokenBarrier), "{kind:?}");
    }

    let barrier = Barrier::new(3).unwrap();
    millpond::spawn(drop::<Barrier>, barrier.clone()).unwrap().join().unwrap();
    let other = millpond::spawn(wait, barrier.clone()).unwrap();
    wait(barrier);
    other.join().unwrap();
}

fn somebody_lives() {
    fn late(queue: Queue<u32>) {
        thread::sleep(LATE);
        queue.push(1).unwrap();
    }

    let queue = Queue::new().unwrap();
    let process = millpond::spawn(late, queue.clone()).unwrap();
    assert_eq!(queue.pop().unwrap(), 1);
    process.join().unwrap();
    let other = queue.clone();
    let thread = thread::spawn(move || late(other));
    assert_eq!(queue.pop().unwrap(), 1);
    thread.join().unwrap();
}

fn on_its_way() {
    let queue = Queue::<u32>::new().unwrap();
    // In a message that this process alone can read: but its bytes could be anywhere.
    let messages = Queue::new().unwrap();
    messages.push(queue.clone()).unwrap();
    alarm();
    let _ = queue.pop();
}

fn switched_off() {
    millpond::set_deadlock_errors(false);
    alarm();
    let _ = Queue::<u32>::new().unwrap().pop();
}

/// Ends the process by a signal that it does not handle.
fn alarm() {
    // SAFETY: it sets a timer.
    unsafe { libc::alarm(2) };
}

fn own_lock() {
    let lock = Lock::new().unwrap();
    let _guard = lock.lock().unwrap();
    std::panic::set_hook(Box::new(|_| ()));
    let deadlock = std::panic::catch_unwind(|| drop(lock.lock()));
    assert!(deadlock.is_err());
}

macro_rules! end_well {
    ($($test:ident: $check:path;)*) => {$(
        #[test]
        fn $test() {
            let _watchdog = Watchdog::start();
            millpond::spawn($check, ()).unwrap().join().unwrap();
        }
    )*};
}

end_well! {
    what_nobody_else_has: nobody_else;
    what_only_the_dead_had: the_others_are_dead;
    a_barrier_of_which_a_party_is_dead: parties_are_dead;
    a_lock_of_the_thread_that_waits: own_lock;
    waits_that_somebody_ends: somebody_lives;
}

#[test]
fn waits_that_are_not_certain_go_on() {
    let _watchdog = Watchdog::start();
    let processes =
        [millpond::spawn(on_its_way, ()).unwrap(), millpond::spawn(switched_off, ()).unwrap()];
    for process in processes {
        assert_eq!(process.join().unwrap_err().signal(), Some(libc::SIGALRM));
    }
}

#[test]
fn what_is_in_a_result_that_nobody_has_read() {
    thread_local! {
        static GIVEN: RefCell<Option<Queue<u32>>> = const { RefCell::new(None) };
    }

    fn give((): ()) -> Queue<u32> {
        let queue = Queue::new().unwrap();
        GIVEN.set(Some(queue.clone()));
        queue
    }

    fn wait((): ()) -> u32 {
        GIVEN.take().unwrap().pop().unwrap()
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let given = pool.spawn(give, ());
    let answer = pool.spawn(wait, ());
    // The worker waits, and looks several times.
    thread::sleep(LATE);
    given.join().unwrap().push(1).unwrap();
    assert_eq!(answer.join().unwrap(), 1);
}
