//! Measures a pool, and the pool of procspawn, the peer, beside it. For `cargo xtask bench pool`.
//!
//! Prints a JSON object a line: workload, value (the median of the rounds), unit. Build it with
//! `--release`. Both pools have two workers and are measured in turn, so that what disturbs the
//! machine disturbs both.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use millpond::Pool;

const ROUNDS: usize = 5;
const PROCESSES: usize = 2;
const CALLS: u64 = 5_000;
const MANY: u64 = 200_000;
const SINGLE: u64 = 20_000;
const LARGE: usize = 8_000_000;
const LARGE_CALLS: u32 = 20;

/// Values by workload and unit, in the order of the workloads' first measurement.
#[derive(Default)]
struct Table {
    order: Vec<(&'static str, &'static str)>,
    values: BTreeMap<&'static str, Vec<f64>>,
}

impl Table {
    fn note(&mut self, workload: &'static str, value: f64, unit: &'static str) {
        let values = self.values.entry(workload).or_default();
        if values.is_empty() {
            self.order.push((workload, unit));
        }
        values.push(value);
    }

    fn print(mut self) {
        for (workload, unit) in self.order {
            let value = self.values.get_mut(workload).map_or(f64::NAN, |values| median(values));
            println!(
                "{{\"workload\": \"{workload}\", \"value\": {value:.3}, \"unit\": \"{unit}\"}}"
            );
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn increment(number: u64) -> u64 {
    number + 1
}

fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn bytes(length: usize) -> Vec<u8> {
    vec![7; length]
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The median of the calls' durations in µs, and calls a second.
fn one_by_one(mut call: impl FnMut(u64)) -> (f64, f64) {
    let mut durations = Vec::with_capacity(CALLS as usize);
    let start = Instant::now();
    for number in 0..CALLS {
        let before = Instant::now();
        call(number);
        durations.push(before.elapsed().as_secs_f64() * 1e6);
    }
    let total = start.elapsed().as_secs_f64();
    (median(&mut durations), CALLS as f64 / total)
}

fn measure_ours(table: &mut Table, pool: &Pool) -> millpond::Result<()> {
    let (p50, rate) = one_by_one(|number| {
        assert_eq!(pool.spawn(increment, number).join().expect("a result"), number + 1);
    });
    table.note("rust apply p50", p50, "µs");
    table.note("rust apply one by one", rate, "calls/s");

    let took = seconds(|| drop(black_box(pool.map(increment, 0..MANY).expect("results"))));
    table.note("rust map 200,000", MANY as f64 / took, "calls/s");
    let single = pool.chunk_size(1);
    let took = seconds(|| drop(black_box(single.map(increment, 0..SINGLE).expect("results"))));
    table.note("rust map 20,000, chunk size 1", SINGLE as f64 / took, "calls/s");
    let took =
        seconds(|| assert_eq!(pool.map_unordered(increment, 0..SINGLE).count() as u64, SINGLE));
    table.note("rust imap_unordered 20,000", SINGLE as f64 / took, "calls/s");

    let gigabytes = LARGE as f64 * f64::from(LARGE_CALLS) / 1e9;
    let mut took = Duration::ZERO;
    for _ in 0..LARGE_CALLS {
        let argument = bytes(LARGE);
        let start = Instant::now();
        assert_eq!(pool.spawn(length, argument).join()?, LARGE);
        took += start.elapsed();
    }
    table.note("rust 8 MB in", gigabytes / took.as_secs_f64(), "GB/s");
    let took = seconds(|| {
        for _ in 0..LARGE_CALLS {
            assert_eq!(pool.spawn(bytes, LARGE).join().expect("bytes").len(), LARGE);
        }
    });
    table.note("rust 8 MB out", gigabytes / took, "GB/s");

    let start = Instant::now();
    let fresh = Pool::new(PROCESSES)?;
    assert_eq!(fresh.spawn(increment, 1).join()?, 2);
    fresh.close();
    fresh.join()?;
    table.note("rust start, first result, shutdown", start.elapsed().as_secs_f64() * 1e3, "ms");
    Ok(())
}

fn measure_procspawn(table: &mut Table, pool: &procspawn::Pool) {
    let (p50, rate) = one_by_one(|number| {
        assert_eq!(pool.spawn(number, increment).join().expect("a result"), number + 1);
    });
    table.note("procspawn apply p50", p50, "µs");
    table.note("procspawn apply one by one", rate, "calls/s");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Both tell their children from the program that the user started.
    procspawn::init();
    millpond::init();
    let mut table = Table::default();
    for _ in 0..ROUNDS {
        // One pool at a time: the threads and processes of the other would share the cores.
        let ours = Pool::new(PROCESSES)?;
        measure_ours(&mut table, &ours)?;
        ours.close();
        ours.join()?;
        let theirs = procspawn::Pool::new(PROCESSES)?;
        measure_procspawn(&mut table, &theirs);
        theirs.shutdown();
    }
    table.print();
    Ok(())
}
