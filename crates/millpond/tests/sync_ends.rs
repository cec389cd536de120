//! What becomes of what a process holds: kept after a normal end, given back after any other.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::mem::forget;
use std::process::{Command, abort, exit};
use std::thread;
use std::time::Duration;

use millpond::Pool;
use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Event, LockResult, Mutex, Semaphore, TryLockError};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

/// Enough to look whether a holder lives.
const SOON: Duration = Duration::from_millis(120);

#[derive(Clone, Serialize, Deserialize)]
struct Things {
    mutex: Mutex<u64>,
    slice: Mutex<[u8]>,
    lock: Lock,
    raw: Lock,
    reentrant: ReentrantLock,
    permits: Semaphore,
    bounded: Semaphore,
}

fn things() -> Things {
    Things {
        mutex: Mutex::new(0).unwrap(),
        slice: Mutex::zeroed(100_000).unwrap(),
        lock: Lock::new().unwrap(),
        raw: Lock::new().unwrap(),
        reentrant: ReentrantLock::new().unwrap(),
        permits: Semaphore::new(3).unwrap(),
        bounded: Semaphore::bounded(3).unwrap(),
    }
}

impl Things {
    /// Takes each, semaphores twice, and lets go of the guards without a release.
    fn take(&self) {
        forget((self.mutex.lock().unwrap(), self.slice.lock().unwrap()));
        forget((self.lock.lock().unwrap(), self.reentrant.lock().unwrap()));
        self.raw.acquire().unwrap();
        self.reentrant.acquire().unwrap();
        for semaphore in [&self.permits, &self.bounded] {
            (0..2).for_each(|_| semaphore.acquire().unwrap().forget());
        }
    }

    fn assert_kept(&self) {
        fn blocks<G>(tried: Result<G, TryLockError<G>>) {
            assert!(matches!(tried, Err(TryLockError::WouldBlock)));
        }
        blocks(self.mutex.lock_timeout(SOON));
        blocks(self.slice.lock_timeout(SOON));
        blocks(self.lock.lock_timeout(SOON));
        blocks(self.raw.lock_timeout(SOON));
        blocks(self.reentrant.lock_timeout(SOON));
        for semaphore in [&self.permits, &self.bounded] {
            semaphore.acquire_timeout(SOON).unwrap().expect("one is left").forget();
            assert!(semaphore.acquire_timeout(SOON).unwrap().is_none());
        }
        // Any process may release these.
        self.raw.release().unwrap();
        assert!(self.raw.try_lock().is_ok());
        (0..3).for_each(|_| self.bounded.release().unwrap());
        assert!(self.bounded.release().is_err());
    }

    fn assert_given_back(&self) {
        fn dies<G>(locked: LockResult<G>) {
            assert!(locked.err().expect("the death of the holder").owner_died());
        }
        dies(self.mutex.lock());
        dies(self.slice.lock());
        dies(self.lock.lock());
        dies(self.raw.lock());
        dies(self.reentrant.lock());
        for semaphore in [&self.permits, &self.bounded] {
            (0..3).for_each(|_| {
                semaphore.acquire_timeout(SOON).unwrap().expect("it is back").forget()
            });
            assert!(semaphore.try_acquire().unwrap().is_none());
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum End {
    Return,
    ReturnAnError,
    ReturnBesideAThread,
    Exit(i32),
    Panic,
    Abort,
    Kill,
}

fn end(end: End) -> Result<(), String> {
    match end {
        End::Return => Ok(()),
        End::ReturnAnError => Err("a value as any other".to_owned()),
        End::ReturnBesideAThread => {
            thread::spawn(|| {
                loop {
                    thread::park()
                }
            });
            Ok(())
        }
        End::Exit(code) => exit(code),
        End::Panic => panic!("on purpose"),
        End::Abort => abort(),
        End::Kill => {
            // SAFETY: it ends this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            loop {
                thread::park();
            }
        }
    }
}

const NORMAL: [End; 4] = [End::Return, End::ReturnAnError, End::ReturnBesideAThread, End::Exit(0)];
const OTHER: [End; 4] = [End::Exit(1), End::Panic, End::Abort, End::Kill];

fn take_and_end(things: Things, how: End) -> Result<(), String> {
    things.take();
    end(how)
}

#[test]
fn a_process_that_ends_normally_keeps() {
    let _watchdog = Watchdog::start();
    for how in NORMAL {
        let things = things();
        let process = millpond::spawn(take_and_end, (things.clone(), how)).unwrap();
        let _ = process.join();
        things.assert_kept();
    }
}

#[test]
fn any_other_end_of_a_process_gives_back() {
    let _watchdog = Watchdog::start();
    for how in OTHER {
        let things = things();
        let process = millpond::spawn(take_and_end, (things.clone(), how)).unwrap();
        process.join().unwrap_err();
        things.assert_given_back();
    }
}

#[test]
fn a_process_that_is_killed_gives_back_what_it_has_no_handle_of() {
    fn take_and_stay(things: Things, taken: Event) {
        things.take();
        drop(things);
        taken.set();
        loop {
            thread::park();
        }
    }

    let _watchdog = Watchdog::start();
    let (things, taken) = (things(), Event::new().unwrap());
    let arguments = (things.clone(), taken.clone());
    let process = millpond::spawn(take_and_stay, arguments).unwrap();
    taken.wait();
    process.kill().unwrap();
    // The system frees what it had one after the other.
    process.join().unwrap_err();
    things.assert_given_back();
}

#[test]
fn a_worker_keeps_unless_a_task_of_it_is_cut_off() {
    fn take(things: Things) {
        things.take();
    }
    fn take_and_stay((things, taken): (Things, Event)) {
        things.take();
        taken.set();
        loop {
            thread::park();
        }
    }

    let _watchdog = Watchdog::start();
    for end in [Pool::close, Pool::terminate] {
        let kept = things();
        let pool = Pool::new(1).unwrap();
        pool.spawn(take, kept.clone()).join().unwrap();
        pool.spawn(u64::count_ones, 3).join().unwrap();
        end(&pool);
        pool.join().unwrap();
        kept.assert_kept();
    }

    let (given_back, taken) = (things(), Event::new().unwrap());
    let pool = Pool::new(1).unwrap();
    let _running = pool.spawn(take_and_stay, (given_back.clone(), taken.clone()));
    taken.wait();
    pool.terminate();
    pool.join().unwrap();
    given_back.assert_given_back();
}

/// A program: this one again, with what it is to do in its environment.
const END: &str = "MILLPOND_TEST_END";
const SHARED: &str = "MILLPOND_TEST_SHARED";

#[test]
fn a_program_that_ends_normally_keeps() {
    let _watchdog = Watchdog::start();
    if let Ok(shared) = std::env::var(SHARED) {
        let bytes: Vec<u8> = shared.split(' ').map(|byte| byte.parse().unwrap()).collect();
        let things: Things = postcard::from_bytes(&bytes).unwrap();
        things.take();
        // A test that passes ends the program with 0, one that fails with another status.
        end(match std::env::var(END).unwrap().as_str() {
            "return" => End::Return,
            "exit" => End::Exit(0),
            "panic" => End::Panic,
            "fail" => End::Exit(7),
            _ => End::Abort,
        })
        .unwrap();
        return;
    }
    let ends =
        [("return", true), ("exit", true), ("panic", false), ("fail", false), ("abort", false)];
    for (how, is_normal) in ends {
        let things = things();
        let bytes = postcard::to_stdvec(&things).unwrap();
        let bytes: Vec<_> = bytes.iter().map(u8::to_string).collect();
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args(["--exact", "a_program_that_ends_normally_keeps"])
            .envs([(END, how), (SHARED, &*bytes.join(" "))])
            .output()
            .unwrap();
        assert_eq!(output.status.success(), is_normal, "{how}: {output:?}");
        if is_normal { things.assert_kept() } else { things.assert_given_back() }
    }
}

#[test]
fn permits_of_three_hundred_holders_come_back() {
    let _watchdog = Watchdog::start();
    let (permits, held) = (Semaphore::new(300).unwrap(), Semaphore::new(0).unwrap());
    let hold = || -> ! {
        permits.acquire().unwrap().forget();
        held.release().unwrap();
        loop {
            thread::park();
        }
    };
    let holders: Vec<_> = (0..300)
        // SAFETY: the fork has one thread, and uses the semaphores alone.
        .map(|_| match unsafe { libc::fork() } {
            0 => hold(),
            pid => pid,
        })
        .collect();
    (0..300).for_each(|_| held.acquire().unwrap().forget());
    assert_eq!(permits.available_permits(), 0);
    for holder in holders {
        // SAFETY: it is a child of this process that nobody else reaps.
        unsafe {
            assert_eq!(libc::kill(holder, libc::SIGKILL), 0);
            assert_eq!(libc::waitpid(holder, std::ptr::null_mut(), 0), holder);
        }
    }
    (0..300).for_each(|_| permits.acquire().unwrap().forget());
    assert!(permits.try_acquire().unwrap().is_none());
}
