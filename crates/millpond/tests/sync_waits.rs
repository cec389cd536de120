//! Semaphores, conditions, events and barriers between processes, and the deaths of their users.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use millpond::ErrorKind;
use millpond::sync::{Barrier, Condvar, Event, Mutex, Semaphore};
use watchdog::Watchdog;

millpond::init_before_main!();

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(LONG);
    }
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn no_more_than_so_many_have_a_permit() {
    fn enter(doors: Semaphore, inside: Mutex<[u32; 2]>) {
        for _ in 0..50 {
            let _permit = doors.acquire().unwrap();
            let mut now = inside.lock().unwrap();
            now[0] += 1;
            now[1] = now[1].max(now[0]);
            drop(now);
            thread::yield_now();
            inside.lock().unwrap()[0] -= 1;
        }
    }

    let _watchdog = Watchdog::start();
    let (doors, inside) = (Semaphore::bounded(2).unwrap(), Mutex::new([0, 0]).unwrap());
    let processes: Vec<_> =
        (0..3).map(|_| millpond::spawn(enter, (doors.clone(), inside.clone())).unwrap()).collect();
    enter(doors.clone(), inside.clone());
    processes.into_iter().for_each(|process| process.join().unwrap());
    let [now, most] = *inside.lock().unwrap();
    assert!(now == 0 && most <= 2, "{most} at once");
    assert_eq!(doors.available_permits(), 2);
    assert_eq!(doors.release().unwrap_err().kind(), ErrorKind::TooManyReleases);
    assert_eq!(doors.available_permits(), 2);
}

#[test]
fn permits_of_killed_and_panicking_processes_are_given_back() {
    fn hold(doors: Semaphore, panics: bool) {
        let _permit = doors.acquire().unwrap();
        doors.acquire().unwrap().forget();
        assert!(!panics, "on purpose");
        sleep_for_ever();
    }

    let _watchdog = Watchdog::start();
    for panics in [false, true] {
        let doors = Semaphore::new(2).unwrap();
        let holder = millpond::spawn(hold, (doors.clone(), panics)).unwrap();
        if panics {
            assert_eq!(holder.join().unwrap_err().kind(), ErrorKind::Panicked);
        } else {
            until(|| doors.available_permits() == 0);
            assert!(doors.acquire_timeout(SHORT).unwrap().is_none());
            holder.kill().unwrap();
        }
        let permits = (
            doors.acquire_timeout(LONG).unwrap().unwrap(),
            doors.acquire_timeout(LONG).unwrap().unwrap(),
        );
        assert!(doors.try_acquire().unwrap().is_none());
        drop(permits);
        assert_eq!(doors.available_permits(), 2);
    }
}

#[test]
fn a_semaphore_that_began_with_nothing_counts_messages() {
    fn produce(messages: Semaphore) {
        (0..100).for_each(|_| messages.release().unwrap());
    }

    let _watchdog = Watchdog::start();
    let messages = Semaphore::new(0).unwrap();
    let producer = millpond::spawn(produce, messages.clone()).unwrap();
    (0..100).for_each(|_| messages.acquire().unwrap().forget());
    producer.join().unwrap();
    assert!(messages.try_acquire().unwrap().is_none());
    let error = Semaphore::new(u32::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_condition_lets_through_as_many_as_it_is_told_to() {
    fn take(items: Mutex<u32>, added: Condvar) {
        let mut items = added.wait_while(items.lock().unwrap(), |items| *items == 0).unwrap();
        *items -= 1;
    }

    let _watchdog = Watchdog::start();
    let (items, added) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let takers: Vec<_> =
        (0..3).map(|_| millpond::spawn(take, (items.clone(), added.clone())).unwrap()).collect();
    until(|| format!("{added:?}").contains("waiting: 3"));
    *items.lock().unwrap() = 1;
    added.notify_one();
    until(|| takers.iter().filter(|taker| taker.is_finished()).count() == 1);
    assert!(format!("{added:?}").contains("waiting: 2"), "{added:?}");
    *items.lock().unwrap() = 2;
    added.notify_n(2);
    takers.into_iter().for_each(|taker| taker.join().unwrap());
    assert_eq!(*items.lock().unwrap(), 0);
}

fn wait_until_ready(ready: Mutex<u32>, changed: Condvar) {
    drop(changed.wait_while(ready.lock().unwrap(), |ready| *ready == 0).unwrap());
}

#[test]
fn a_killed_waiter_of_a_condition_takes_no_notification_along() {
    let _watchdog = Watchdog::start();
    let (ready, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let start = || millpond::spawn(wait_until_ready, (ready.clone(), changed.clone())).unwrap();
    let killed = start();
    until(|| format!("{changed:?}").contains("waiting: 1"));
    let second = start();
    until(|| format!("{changed:?}").contains("waiting: 2"));
    killed.kill().unwrap();
    killed.join().unwrap_err();
    *ready.lock().unwrap() = 1;
    // To the dead one, which is first.
    changed.notify_one();
    second.join().unwrap();
    changed.notify_all();
}

#[test]
fn a_waiter_that_is_killed_on_its_way_to_the_mutex_takes_no_notification_along() {
    let _watchdog = Watchdog::start();
    let (ready, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let start = || millpond::spawn(wait_until_ready, (ready.clone(), changed.clone())).unwrap();
    let killed = start();
    until(|| format!("{changed:?}").contains("waiting: 1"));
    let second = start();
    until(|| format!("{changed:?}").contains("waiting: 2"));
    let mut guard = ready.lock().unwrap();
    changed.notify_one();
    // It wakes, most likely, and finds the mutex locked.
    thread::sleep(4 * SHORT);
    killed.kill().unwrap();
    killed.join().unwrap_err();
    *guard = 1;
    drop(guard);
    second.join().unwrap();
}

#[test]
fn a_wait_for_a_condition_ends_with_the_news_of_the_owners_death() {
    fn die_with_it(number: Mutex<u32>, changed: Condvar) {
        let mut number = number.lock().unwrap();
        *number = 1;
        changed.notify_all();
        std::process::abort();
    }

    let _watchdog = Watchdog::start();
    let (number, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let guard = number.lock().unwrap();
    let other = millpond::spawn(die_with_it, (number.clone(), changed.clone())).unwrap();
    let error = changed.wait(guard).unwrap_err();
    assert_eq!((error.pid(), error.owner_died()), (other.pid(), true));
    assert_eq!(*error.into_inner(), 1);
    let (guard, result) =
        changed.wait_timeout_while(number.lock().unwrap(), SHORT, |number| *number == 1).unwrap();
    assert!(result.timed_out());
    drop(guard);
    let (_guard, result) =
        changed.wait_timeout_while(number.lock().unwrap(), LONG, |number| *number == 0).unwrap();
    assert!(!result.timed_out());
}

#[test]
fn a_process_that_is_told_of_a_death_hands_its_notification_on() {
    fn wait_too(number: Mutex<u32>, changed: Condvar) {
        let mut guard = number.lock().unwrap();
        *guard += 1;
        drop(changed.wait(guard).unwrap());
    }

    fn notify_one_and_die(number: Mutex<u32>, changed: Condvar) {
        let _guard = number.lock().unwrap();
        changed.notify_one();
        std::process::abort();
    }

    let _watchdog = Watchdog::start();
    let (number, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let args = || (number.clone(), changed.clone());
    // The one that has waited longest: the process waits once the mutex is given back here.
    let guard = number.lock().unwrap();
    let second = millpond::spawn(wait_too, args()).unwrap();
    let third = thread::scope(|scope| {
        let starter = scope.spawn(|| {
            while *number.lock().unwrap() == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            millpond::spawn(notify_one_and_die, args()).unwrap()
        });
        let error = changed.wait(guard).unwrap_err();
        assert!(error.owner_died());
        drop(error.into_inner());
        starter.join().unwrap()
    });
    second.join().unwrap();
    third.join().unwrap_err();
}

#[test]
fn an_event_lets_all_through_also_after_a_waiter_was_killed() {
    fn wait(near: Semaphore, event: Event) -> bool {
        near.release().unwrap();
        event.wait_timeout(LONG)
    }

    let _watchdog = Watchdog::start();
    let (near, event) = (Semaphore::new(0).unwrap(), Event::new().unwrap());
    let start = || millpond::spawn(wait, (near.clone(), event.clone())).unwrap();
    let (killed, one, two) = (start(), start(), start());
    (0..3).for_each(|_| near.acquire().unwrap().forget());
    killed.kill().unwrap();
    killed.join().unwrap_err();
    assert!(!event.wait_timeout(SHORT) && !event.is_set());
    event.set();
    assert!(one.join().unwrap() && two.join().unwrap());
    assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
    event.clear();
    assert!(!event.is_set());
}

#[test]
fn parties_cross_a_barrier_together_and_one_leads() {
    fn cross(barrier: Barrier, counts: Mutex<[u32; 2]>) -> Vec<u32> {
        let rounds = 0..50;
        rounds
            .map(|_| {
                counts.lock().unwrap()[0] += 1;
                let result = barrier.wait().unwrap();
                counts.lock().unwrap()[1] += u32::from(result.is_leader());
                result.index()
            })
            .collect()
    }

    let _watchdog = Watchdog::start();
    let (barrier, counts) = (Barrier::new(3).unwrap(), Mutex::new([0, 0]).unwrap());
    assert_eq!(barrier.parties(), 3);
    let others: Vec<_> = (0..2)
        .map(|_| millpond::spawn(cross, (barrier.clone(), counts.clone())).unwrap())
        .collect();
    let mut indices = vec![cross(barrier.clone(), counts.clone())];
    indices.extend(others.into_iter().map(|other| other.join().unwrap()));
    for round in 0..50 {
        let mut of_round: Vec<u32> = indices.iter().map(|indices| indices[round]).collect();
        of_round.sort_unstable();
        assert_eq!(of_round, [0, 1, 2]);
    }
    assert_eq!(*counts.lock().unwrap(), [150, 50]);
}

#[test]
fn a_barrier_breaks_when_a_party_is_killed() {
    fn wait(barrier: Barrier) -> Option<String> {
        barrier.wait().err().map(|error| format!("{:?}", error.kind()))
    }

    let _watchdog = Watchdog::start();
    let barrier = Barrier::new(3).unwrap();
    let killed = millpond::spawn(wait, barrier.clone()).unwrap();
    until(|| barrier.waiting() == 1);
    let other = millpond::spawn(wait, barrier.clone()).unwrap();
    until(|| barrier.waiting() == 2);
    killed.kill().unwrap();
    assert_eq!(other.join().unwrap().as_deref(), Some("BrokenBarrier"));
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::BrokenBarrier);
    barrier.reset();
    let others: Vec<_> = (0..2).map(|_| millpond::spawn(wait, barrier.clone()).unwrap()).collect();
    barrier.wait().unwrap();
    others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), None));
}

#[test]
fn a_barrier_is_aborted_reset_and_given_up() {
    let _watchdog = Watchdog::start();
    let error = Barrier::new(4091).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("4090 parties"), "{error}");
    let error = Barrier::new(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "a barrier needs at least one party");
    assert!(Barrier::new(1).unwrap().wait().unwrap().is_leader());

    let barrier = Barrier::new(2).unwrap();
    let endings: [fn(&Barrier); 2] = [Barrier::abort, Barrier::reset];
    for end in endings {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait());
            until(|| barrier.waiting() == 1);
            end(&barrier);
            let error = waiter.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenBarrier);
        });
        barrier.reset();
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until(|| barrier.waiting() == 1);
        barrier.wait_timeout(LONG).unwrap();
        waiter.join().unwrap().unwrap();
    });
    let error = barrier.wait_timeout(SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "not all parties arrived within 5ms");
    assert!(barrier.is_broken());
}

#[test]
fn signals_do_not_end_a_wait() {
    extern "C" fn nothing(_: libc::c_int) {}

    let _watchdog = Watchdog::start();
    // SAFETY: the handler does nothing; without SA_RESTART system calls return because of it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int) = nothing;
        action.sa_sigaction = handler as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
    let event = Event::new().unwrap();
    let (mutex, changed) = (Mutex::new(0_u8).unwrap(), Condvar::new().unwrap());
    let (doors, barrier) = (Semaphore::bounded(1).unwrap(), Barrier::new(2).unwrap());
    let held = mutex.lock().unwrap();
    let permit = doors.acquire().unwrap();
    let others = Mutex::new(0_u8).unwrap();
    let waits: [&(dyn Fn() + Sync); 5] = [
        &|| event.wait(),
        &|| drop(mutex.lock().unwrap()),
        &|| drop(changed.wait_while(others.lock().unwrap(), |n| *n == 0).unwrap()),
        &|| drop(doors.acquire().unwrap()),
        &|| assert!(barrier.wait().is_ok()),
    ];
    let ended: [AtomicBool; 5] = Default::default();
    thread::scope(|scope| {
        let threads: Vec<_> = waits
            .iter()
            .zip(&ended)
            .map(|(wait, ended)| {
                let (tell, told) = mpsc::channel();
                scope.spawn(move || {
                    // SAFETY: it has no preconditions.
                    tell.send(unsafe { libc::gettid() }).unwrap();
                    wait();
                    ended.store(true, Ordering::Relaxed);
                });
                told.recv().unwrap()
            })
            .collect();
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(3));
            for thread in &threads {
                // SAFETY: a system call without memory; the thread runs until it is joined.
                unsafe {
                    libc::syscall(libc::SYS_tgkill, std::process::id(), *thread, libc::SIGUSR1)
                };
            }
        }
        assert!(ended.iter().all(|ended| !ended.load(Ordering::Relaxed)));
        event.set();
        drop(held);
        *others.lock().unwrap() = 1;
        changed.notify_all();
        drop(permit);
        barrier.wait().unwrap();
    });
}
