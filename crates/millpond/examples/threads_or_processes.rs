//! When threads win, and when processes do.
//!
//! A function that waits costs the same in both, and threads are cheaper to have. One that computes
//! runs on all CPUs in both, unless it must hold a lock that all threads share, as a C library that
//! is not safe for threads makes it do: there every process has a lock, and a library, of its own.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use millpond::Pool;

const CALLS: u64 = 8;
const WORKERS: usize = 4;

/// Stands for a library with global state.
static LIBRARY: Mutex<()> = Mutex::new(());

/// I/O-bound: waits for an answer.
fn fetch(number: u64) -> u64 {
    thread::sleep(Duration::from_millis(50));
    number
}

/// CPU-bound, in a library that one thread at a time may use.
fn compute(number: u64) -> u64 {
    let _one_at_a_time = LIBRARY.lock().unwrap();
    (0..3_000_000).fold(number, |sum, n| std::hint::black_box(sum.wrapping_mul(31) ^ n))
}

fn in_threads(function: fn(u64) -> u64) -> Vec<u64> {
    let numbers: Vec<u64> = (0..CALLS).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .chunks(numbers.len() / WORKERS)
            .map(|part| scope.spawn(move || part.iter().map(|&n| function(n)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {} ms", start.elapsed().as_millis());
    result
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let pool = Pool::new(WORKERS)?;
    let alone =
        timed("I/O-bound, one after the other", || (0..CALLS).map(fetch).collect::<Vec<_>>());
    let threads = timed("I/O-bound, in threads", || in_threads(fetch));
    let processes = timed("I/O-bound, in processes", || pool.map(fetch, 0..CALLS))?;
    println!("the same results: {}", alone == threads && threads == processes);

    let alone =
        timed("CPU-bound, one after the other", || (0..CALLS).map(compute).collect::<Vec<_>>());
    let threads = timed("CPU-bound, in threads", || in_threads(compute));
    let processes = timed("CPU-bound, in processes", || pool.map(compute, 0..CALLS))?;
    println!("the same results: {}", alone == threads && threads == processes);
    Ok(())
}
