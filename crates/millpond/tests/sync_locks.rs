//! Mutexes and locks between processes: exclusion, and the deaths and panics of holders.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Event, Mutex, TryLockError};
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

millpond::init_before_main!();

const LONG: Duration = Duration::from_secs(60);

fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(LONG);
    }
}

fn add(number: Mutex<u64>, times: u64) {
    for _ in 0..times {
        *number.lock().unwrap() += 1;
    }
}

#[test]
fn processes_and_threads_add_up() {
    let _watchdog = Watchdog::start();
    let number = Mutex::new(0_u64).unwrap();
    let processes: Vec<_> =
        (0..2).map(|_| millpond::spawn(add, (number.clone(), 5000)).unwrap()).collect();
    thread::scope(|scope| {
        scope.spawn(|| add(number.clone(), 5000));
        add(number.clone(), 5000);
    });
    processes.into_iter().for_each(|process| process.join().unwrap());
    assert_eq!(*number.lock().unwrap(), 20_000);
    assert_eq!(number.holder(), None);
}

#[test]
fn the_death_of_the_owner_of_a_mutex_reaches_the_next_one_once() {
    fn hold(pair: Mutex<[u64; 2]>, held: Event) {
        let mut pair = pair.lock().unwrap();
        pair[0] = 7;
        held.set();
        sleep_for_ever();
    }

    let _watchdog = Watchdog::start();
    let (pair, held) = (Mutex::new([0, 0]).unwrap(), Event::new().unwrap());
    let owner = millpond::spawn(hold, (pair.clone(), held.clone())).unwrap();
    held.wait();
    assert_eq!(pair.holder(), Some(owner.pid()));
    assert!(matches!(pair.try_lock(), Err(TryLockError::WouldBlock)));
    let soon = pair.lock_timeout(Duration::from_millis(120));
    assert!(matches!(soon, Err(TryLockError::WouldBlock)));
    thread::scope(|scope| {
        // Both wait when it dies; one of them is told.
        let wait = || pair.lock().map_err(|error| (error.pid(), error.owner_died())).err();
        let waiters = [scope.spawn(wait), scope.spawn(wait)];
        thread::sleep(Duration::from_millis(20));
        owner.kill().unwrap();
        let news: Vec<_> = waiters.into_iter().filter_map(|w| w.join().unwrap()).collect();
        assert_eq!(news, [(owner.pid(), true)]);
    });
    assert_eq!(*pair.lock().unwrap(), [7, 0]);
    assert_eq!(*pair.try_lock().unwrap(), [7, 0]);
}

#[test]
fn the_death_of_the_owner_reaches_one_who_only_tries() {
    fn hold(number: Mutex<u8>, lock: Lock, reentrant: ReentrantLock) {
        let _guards = (number.lock(), lock.lock(), reentrant.lock());
        std::process::abort();
    }
    fn death<G>(attempt: impl Fn() -> Result<G, TryLockError<G>>) -> u32 {
        loop {
            match attempt() {
                Err(TryLockError::Poisoned(error)) if error.owner_died() => return error.pid(),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
                Err(TryLockError::Poisoned(error)) => panic!("{error}"),
                Ok(_) => panic!("the death was kept secret"),
            }
        }
    }

    let _watchdog = Watchdog::start();
    let (number, lock, reentrant) =
        (Mutex::new(0).unwrap(), Lock::new().unwrap(), ReentrantLock::new().unwrap());
    let arguments = (number.clone(), lock.clone(), reentrant.clone());
    let owner = millpond::spawn(hold, arguments).unwrap();
    let pid = owner.pid();
    owner.join().unwrap_err();
    assert_eq!(death(|| number.try_lock()), pid);
    assert_eq!(death(|| lock.try_lock()), pid);
    assert_eq!(death(|| reentrant.try_lock()), pid);
    assert!(number.try_lock().is_ok() && lock.try_lock().is_ok() && reentrant.try_lock().is_ok());
}

#[test]
fn a_panic_of_the_owner_reaches_the_next_one_once() {
    fn panicking((number, lock, reentrant): (Mutex<u64>, Lock, ReentrantLock)) {
        let _guards = (lock.lock().unwrap(), reentrant.lock().unwrap());
        *number.lock().unwrap() = 3;
        let _guard = number.lock().unwrap();
        panic!("on purpose");
    }

    let _watchdog = Watchdog::start();
    let (number, lock, reentrant) =
        (Mutex::new(0).unwrap(), Lock::new().unwrap(), ReentrantLock::new().unwrap());
    let handles = || (number.clone(), lock.clone(), reentrant.clone());
    // In a worker, which goes on; in a process, which ends; and in a thread of this one.
    let pool = Pool::new(1).unwrap();
    let process = millpond::spawn(panicking, handles()).unwrap();
    let process = process.child().clone();
    for round in 0..3 {
        let pid = match round {
            0 => {
                assert_eq!(process.join().unwrap_err().kind(), ErrorKind::Panicked);
                process.pid()
            }
            1 => {
                let error = pool.spawn(panicking, handles()).join().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Panicked);
                error.pid().unwrap()
            }
            _ => {
                catch_unwind(AssertUnwindSafe(|| panicking(handles()))).unwrap_err();
                std::process::id()
            }
        };
        let error = number.lock().unwrap_err();
        assert_eq!((error.pid(), error.owner_died()), (pid, false));
        let text = format!("a thread of process {pid} panicked while it held the lock; ");
        assert!(error.to_string().starts_with(&text), "{error}");
        assert_eq!(*error.into_inner(), 3);
        assert_eq!(lock.lock().unwrap_err().pid(), pid);
        assert_eq!(reentrant.lock().unwrap_err().pid(), pid);
        drop((number.lock().unwrap(), lock.lock().unwrap(), reentrant.lock().unwrap()));
    }
}

#[test]
fn the_death_of_one_who_waits_harms_nobody() {
    fn wait(number: Mutex<u64>, lock: Lock, reentrant: ReentrantLock, which: u8, near: Event) {
        near.set();
        match which {
            0 => drop(number.lock()),
            1 => drop(lock.lock()),
            _ => drop(reentrant.lock()),
        }
    }

    let _watchdog = Watchdog::start();
    let (number, lock, reentrant) =
        (Mutex::new(0_u64).unwrap(), Lock::new().unwrap(), ReentrantLock::new().unwrap());
    let guards = (number.lock().unwrap(), lock.lock().unwrap(), reentrant.lock().unwrap());
    let waiters: Vec<_> = (0..3)
        .map(|which| {
            let near = Event::new().unwrap();
            let handles = (number.clone(), lock.clone(), reentrant.clone(), which, near.clone());
            let waiter = millpond::spawn(wait, handles).unwrap();
            near.wait();
            waiter
        })
        .collect();
    // Time to fall asleep, and to starve.
    thread::sleep(Duration::from_millis(80));
    for waiter in waiters {
        waiter.kill().unwrap();
        waiter.join().unwrap_err();
    }
    drop(guards);
    // At once, although those that starved were to be next.
    assert!(number.try_lock().is_ok() && lock.try_lock().is_ok() && reentrant.try_lock().is_ok());
}

#[test]
fn nobody_starves() {
    /// Takes the mutex as often as it can until both have taken it `enough` times.
    fn greedy(counts: Mutex<[u64; 2]>, mine: usize, enough: u64) {
        loop {
            let mut counts = counts.lock().unwrap();
            if counts.iter().all(|&count| count >= enough) {
                return;
            }
            counts[mine] += 1;
            // Most of the time it is held, which is what makes others starve.
            let until = Instant::now() + Duration::from_micros(20);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
    }

    let _watchdog = Watchdog::start();
    let counts = Mutex::new([0, 0]).unwrap();
    let other = millpond::spawn(greedy, (counts.clone(), 0, 200)).unwrap();
    greedy(counts.clone(), 1, 200);
    other.join().unwrap();
    let [one, two] = *counts.lock().unwrap();
    println!("{one} and {two} turns");
}

#[test]
fn a_lock_may_be_released_by_others_and_a_reentrant_one_may_not() {
    fn release(lock: Lock, reentrant: ReentrantLock) -> [String; 2] {
        let told = |result: millpond::Result<()>| format!("{:?}", result.map_err(|e| e.kind()));
        [told(lock.release()), told(reentrant.release())]
    }

    let _watchdog = Watchdog::start();
    let (lock, reentrant) = (Lock::new().unwrap(), ReentrantLock::new().unwrap());
    assert_eq!(release(lock.clone(), reentrant.clone()), ["Err(NotHeld)"; 2]);
    lock.acquire().unwrap();
    reentrant.acquire().unwrap();
    reentrant.acquire().unwrap();
    let other = millpond::spawn(release, (lock.clone(), reentrant.clone())).unwrap();
    assert_eq!(other.join().unwrap(), ["Ok(())", "Err(NotHeld)"]);
    assert_eq!((lock.holder(), reentrant.holder()), (None, Some(std::process::id())));
    reentrant.release().unwrap();
    thread::scope(|scope| {
        let tried = scope.spawn(|| reentrant.try_lock().is_err());
        assert!(tried.join().unwrap(), "it is held once more");
    });
    reentrant.release().unwrap();
    let error = reentrant.release().unwrap_err().to_string();
    assert!(error.starts_with("the lock cannot be released: only the thread"), "{error}");
    let error = lock.release().unwrap_err().to_string();
    assert_eq!(error, "the lock cannot be released: nobody holds it");
}

#[test]
fn a_guard_of_a_lock_that_another_released_releases_nothing() {
    let _watchdog = Watchdog::start();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    lock.release().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| lock.acquire().unwrap()).join().unwrap();
    });
    drop(guard);
    assert_eq!(lock.holder(), Some(std::process::id()));
}

#[test]
fn locking_what_one_has_locked_is_a_panic_rather_than_for_ever() {
    let _watchdog = Watchdog::start();
    let number = Mutex::new(0_u8).unwrap();
    let guard = number.lock().unwrap();
    let again = catch_unwind(AssertUnwindSafe(|| drop(number.clone().lock()))).unwrap_err();
    assert!(again.downcast_ref::<&str>().unwrap().contains("locked this mutex already"));
    drop(guard);
    assert!(number.lock().is_ok());
}

#[test]
fn a_poisoned_lock_is_an_error_of_this_crate_too() {
    fn hold(number: Mutex<u8>) {
        let _guard = number.lock();
        std::process::abort();
    }
    fn read(number: &Mutex<u8>) -> millpond::Result<u8> {
        Ok(*number.lock()?)
    }

    let _watchdog = Watchdog::start();
    let number = Mutex::new(5).unwrap();
    let owner = millpond::spawn(hold, number.clone()).unwrap();
    let pid = owner.pid();
    owner.join().unwrap_err();
    let error = read(&number).unwrap_err();
    assert_eq!((error.kind(), error.pid()), (ErrorKind::Poisoned, Some(pid)));
    assert_eq!(read(&number).unwrap(), 5);

    let guard = number.lock().unwrap();
    let busy = number.try_lock().map(drop).map_err(millpond::Error::from).unwrap_err();
    assert_eq!((busy.kind(), busy.pid()), (ErrorKind::TimedOut, None));
    assert_eq!(std::io::Error::from(busy).kind(), std::io::ErrorKind::WouldBlock);
    drop(guard);
}
