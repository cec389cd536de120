//! Measures the primitives of `millpond::sync`, beside the standard library's between threads for
//! orientation. Prints the least, the median and the most of each workload's rounds, which are
//! interleaved.
//!
//! Build it with `--release`. With `--pairs` it measures
//! uncontended pairs alone; with `--busy` as many busy processes as there are cores run beside it.

use std::collections::BTreeMap;
use std::sync as std_sync;
use std::thread;
use std::time::{Duration, Instant};

use millpond::Builder;
use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Barrier, Condvar, Event, Mutex, Semaphore};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 7;
const PAIRS: u32 = 200_000;
const CONTENDED: Duration = Duration::from_millis(60);
const TRIPS: u32 = 1_000;

#[derive(Clone, Serialize, Deserialize)]
struct Shared {
    start: Event,
    mutex: Mutex<u64>,
    changed: Condvar,
    there: Event,
    back: Event,
    barrier: Barrier,
}

impl Shared {
    fn new() -> millpond::Result<Self> {
        Ok(Self {
            start: Event::new()?,
            mutex: Mutex::new(0)?,
            changed: Condvar::new()?,
            there: Event::new()?,
            back: Event::new()?,
            barrier: Barrier::new(2)?,
        })
    }

    /// Waits for its turn, and gives it to the other.
    fn turn(&self, mine: u64) {
        let turn = self.mutex.lock().unwrap();
        let mut turn = self.changed.wait_while(turn, |turn| *turn % 2 != mine).unwrap();
        *turn += 1;
        self.changed.notify_one();
    }
}

/// How many pairs are made until time is up.
fn count(mut pair: impl FnMut()) -> u64 {
    let start = Instant::now();
    let mut pairs = 0;
    while start.elapsed() < CONTENDED {
        (0..100).for_each(|_| pair());
        pairs += 100;
    }
    pairs
}

/// What the other process, or thread, does.
fn contend(shared: Shared) -> u64 {
    shared.start.wait();
    count(|| *shared.mutex.lock().unwrap() += 1)
}

fn echo_events(shared: Shared) -> u64 {
    shared.start.wait();
    for _ in 0..TRIPS {
        shared.there.wait();
        shared.there.clear();
        shared.back.set();
    }
    0
}

fn echo_turns(shared: Shared) -> u64 {
    shared.start.wait();
    (0..TRIPS).for_each(|_| shared.turn(1));
    0
}

fn cross(shared: Shared) -> u64 {
    shared.start.wait();
    (0..TRIPS).for_each(|_| drop(shared.barrier.wait()));
    0
}

/// Nanoseconds for each of `times` calls.
fn each(times: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..times).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

fn millions_a_second(pairs: u64) -> f64 {
    pairs as f64 / CONTENDED.as_secs_f64() / 1e6
}

#[derive(Default)]
struct Report(BTreeMap<&'static str, Vec<f64>>);

impl Report {
    fn add(&mut self, what: &'static str, value: f64) {
        self.0.entry(what).or_default().push(value);
    }

    fn print(self) {
        for (what, mut values) in self.0 {
            values.sort_by(f64::total_cmp);
            let (least, most) = (values[0], values[values.len() - 1]);
            println!("{what}: {least:.2} {:.2} {most:.2}", values[values.len() / 2]);
        }
    }
}

fn uncontended(report: &mut Report) -> millpond::Result<()> {
    let (std, mutex) = (std_sync::Mutex::new(0_u64), Mutex::new(0_u64)?);
    let (lock, reentrant, semaphore) =
        (Lock::new()?, ReentrantLock::new()?, Semaphore::bounded(1)?);
    report.add("pair, std Mutex, ns", each(PAIRS, || *std.lock().unwrap() += 1));
    report.add("pair, Mutex, ns", each(PAIRS, || *mutex.lock().unwrap() += 1));
    report.add("pair, Lock, ns", each(PAIRS, || drop(lock.lock().unwrap())));
    report.add("pair, ReentrantLock, ns", each(PAIRS, || drop(reentrant.lock().unwrap())));
    report.add("pair, Semaphore, ns", each(PAIRS, || drop(semaphore.acquire().unwrap())));
    Ok(())
}

fn contended(report: &mut Report) -> millpond::Result<()> {
    let std = std_sync::Mutex::new(0_u64);
    let pairs = thread::scope(|scope| {
        let other = scope.spawn(|| count(|| *std.lock().unwrap() += 1));
        count(|| *std.lock().unwrap() += 1) + other.join().unwrap()
    });
    report.add("contended, std Mutex, 2 threads, M/s", millions_a_second(pairs));
    let shared = Shared::new()?;
    let pairs = thread::scope(|scope| {
        let other = scope.spawn(|| contend(shared.clone()));
        shared.start.set();
        count(|| *shared.mutex.lock().unwrap() += 1) + other.join().unwrap()
    });
    report.add("contended, Mutex, 2 threads, M/s", millions_a_second(pairs));
    let (other, shared) = start(contend)?;
    let pairs = count(|| *shared.mutex.lock().unwrap() += 1) + other.join()?;
    report.add("contended, Mutex, 2 processes, M/s", millions_a_second(pairs));
    Ok(())
}

type Other = millpond::JoinHandle<u64>;

fn start<F>(function: F) -> millpond::Result<(Other, Shared)>
where
    F: millpond::Function<Shared, fn(Shared), Output = u64>,
{
    let shared = Shared::new()?;
    let other = millpond::spawn(function, shared.clone())?;
    // Time to be there, in a machine with nothing to do and in a full one.
    thread::sleep(Duration::from_millis(20));
    shared.start.set();
    Ok((other, shared))
}

fn trips(report: &mut Report) -> millpond::Result<()> {
    let turn = (std_sync::Mutex::new(0_u64), std_sync::Condvar::new());
    let take = |mine: u64| {
        let guard = turn.0.lock().unwrap();
        let mut guard = turn.1.wait_while(guard, |turn| *turn % 2 != mine).unwrap();
        *guard += 1;
        turn.1.notify_one();
    };
    let took = thread::scope(|scope| {
        scope.spawn(|| (0..TRIPS).for_each(|_| take(1)));
        each(TRIPS, || take(0))
    });
    report.add("round trip, std Condvar, threads, µs", took / 1000.0);
    let (other, shared) = start(echo_turns)?;
    report.add("round trip, Condvar, µs", each(TRIPS, || shared.turn(0)) / 1000.0);
    other.join()?;
    let (other, shared) = start(echo_events)?;
    let took = each(TRIPS, || {
        shared.there.set();
        shared.back.wait();
        shared.back.clear();
    });
    report.add("round trip, Event, µs", took / 1000.0);
    other.join()?;
    let (other, shared) = start(cross)?;
    let took = each(TRIPS, || drop(shared.barrier.wait()));
    report.add("crossing, Barrier(2), µs", took / 1000.0);
    other.join()?;
    let std = std_sync::Barrier::new(2);
    let took = thread::scope(|scope| {
        scope.spawn(|| (0..TRIPS).for_each(|_| _ = std.wait()));
        each(TRIPS, || _ = std.wait())
    });
    report.add("crossing, std Barrier, threads, µs", took / 1000.0);
    Ok(())
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn main() -> millpond::Result<()> {
    millpond::init();
    if std::env::args().any(|argument| argument == "--pairs") {
        let mut report = Report::default();
        (0..20 * ROUNDS).try_for_each(|_| uncontended(&mut report))?;
        report.print();
        return Ok(());
    }
    let mut busy = Vec::new();
    if std::env::args().any(|argument| argument == "--busy") {
        for _ in 0..millpond::cpu_count() {
            busy.push(Builder::new().end_with_parent(true).spawn(spin, ())?);
        }
    }
    let mut report = Report::default();
    for _ in 0..ROUNDS {
        uncontended(&mut report)?;
        contended(&mut report)?;
        trips(&mut report)?;
    }
    report.print();
    for process in busy {
        process.kill()?;
    }
    Ok(())
}
