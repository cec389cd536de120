//! Jobs and processes as futures, on executors that know nothing of millpond.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use millpond::sync::Event;
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

/// The least executor there is.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn square(number: u64) -> u64 {
    number * number
}

#[millpond::test]
fn jobs_are_awaited() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    for number in 0..200 {
        assert_eq!(block_on(pool.spawn(square, number)).unwrap(), square(number));
    }
    assert_eq!(block_on(pool.spawn_map(square, 0..9)).unwrap().len(), 9);
    let crash = || -> u64 { std::process::abort() };
    let error = block_on(pool.spawn(crash, ())).unwrap_err();
    assert_eq!(error.signal_name(), Some("SIGABRT"));
    let mut job = pool.spawn(square, 3);
    assert_eq!(block_on(&mut job).unwrap(), 9);
    assert_eq!(block_on(job).unwrap_err().kind(), ErrorKind::InvalidInput);
    pool.close();
    assert_eq!(block_on(pool.spawn(square, 3)).unwrap_err().kind(), ErrorKind::Closed);
}

#[millpond::test]
fn many_threads_await_one_pool_which_ends_meanwhile() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let gate = Event::new().unwrap();
    thread::scope(|scope| {
        let (pool, gate) = (&pool, &gate);
        for _ in 0..4 {
            scope.spawn(move || {
                for number in 0..100 {
                    assert_eq!(block_on(pool.spawn(square, number)).unwrap(), square(number));
                }
            });
        }
        let stuck = scope.spawn(move || {
            let error = block_on(pool.spawn(|gate: Event| gate.wait(), gate.clone())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Terminated);
        });
        scope.spawn(move || {
            while pool.stats().finished < 400 {
                thread::yield_now();
            }
            pool.terminate();
        });
        stuck.join().unwrap();
    });
}

#[millpond::test]
fn a_job_that_is_dropped_is_cancelled_where_that_was_asked_for() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let (gate, ran) = (Event::new().unwrap(), Event::new().unwrap());
    let begun = pool.spawn(|gate: Event| gate.wait(), gate.clone());
    let set = |event: Event| event.set();
    let mut dropped = pool.spawn(set, ran.clone()).cancel_on_drop(true);
    assert!(Future::poll(pin!(&mut dropped), &mut Context::from_waker(Waker::noop())).is_pending());
    drop(dropped);
    let kept = Event::new().unwrap();
    drop(pool.spawn(set, kept.clone()));
    gate.set();
    begun.join().unwrap();
    kept.wait();
    assert!(!ran.is_set());
}

#[millpond::test]
fn processes_are_awaited() {
    let _watchdog = Watchdog::start();
    assert_eq!(block_on(millpond::spawn(square, 5).unwrap()).unwrap(), 25);
    let crash = || -> u64 { std::process::abort() };
    let error = block_on(millpond::spawn(crash, ()).unwrap()).unwrap_err();
    assert_eq!(error.signal_name(), Some("SIGABRT"));
    let mut process = millpond::spawn(square, 6).unwrap();
    assert_eq!(block_on(&mut process).unwrap(), 36);
    assert_eq!(block_on(process).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[millpond::test]
#[tokio::test]
async fn another_waker_takes_the_place_of_the_first() {
    let _watchdog = Watchdog::start();
    let gate = Event::new().unwrap();
    let wait = |gate: Event| gate.wait();
    let pool = Pool::new(1).unwrap();
    let mut process = millpond::spawn(wait, gate.clone()).unwrap();
    let mut job = pool.spawn(wait, gate.clone());
    assert!(Future::poll(pin!(&mut process), &mut Context::from_waker(Waker::noop())).is_pending());
    assert!(Future::poll(pin!(&mut job), &mut Context::from_waker(Waker::noop())).is_pending());
    let both = tokio::spawn(async move { (process.await, job.await) });
    tokio::task::yield_now().await;
    gate.set();
    let (process, job) = both.await.unwrap();
    process.unwrap();
    job.unwrap();
}

#[millpond::test]
fn values_are_awaited() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = millpond::channel().unwrap();
    let (asked, may_ask) = millpond::channel().unwrap();
    let mut receiver = receiver.into_async().unwrap();
    let child = millpond::spawn(
        |asked: millpond::Receiver<()>, sender: millpond::Sender<u64>| {
            let mut number = 0;
            while asked.recv().unwrap().is_some() {
                sender.send(number).unwrap();
                sender.send(number + 1).unwrap();
                number += 2;
            }
        },
        (may_ask, sender),
    )
    .unwrap();
    for number in (0..100).step_by(2) {
        // One that is dropped takes nothing, whether it has waited or not.
        let polled = {
            let mut dropped = pin!(receiver.recv());
            dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        assert!(polled.is_pending());
        asked.send(()).unwrap();
        assert_eq!(block_on(receiver.recv()).unwrap(), Some(number));
        assert_eq!(block_on(receiver.recv()).unwrap(), Some(number + 1));
    }
    drop(asked);
    assert_eq!(block_on(receiver.recv()).unwrap(), None);
    assert_eq!(block_on(receiver.recv()).unwrap(), None);
    child.join().unwrap();
}

#[millpond::test]
fn a_sender_learns_that_an_async_receiver_is_gone() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = millpond::channel().unwrap();
    let mut receiver = receiver.into_async().unwrap();
    {
        let mut waiting = pin!(receiver.recv());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    drop(receiver);
    while sender.send(1_u64).is_ok() {
        thread::yield_now();
    }
    assert_eq!(sender.send(2).unwrap_err().kind(), ErrorKind::Disconnected);
}
