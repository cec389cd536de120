//! Kills processes that use the primitives, at random, and checks what must hold nevertheless.
//!
//! `cargo xtask chaos` runs it; tests/chaos/README.md tells what is checked. This is the Rust half:
//! `chaos [--kills N] [--seed S] [--only NAME]`.

mod channels;
mod ledger;
mod locks;
mod peers;
mod runner;
mod slot;
mod waiting;

use std::process::ExitCode;
use std::time::Instant;

use crate::runner::{Outcome, Scenario, perform};

/// The scenarios, by the functions that set them up anew.
const SCENARIOS: [fn() -> millpond::Result<Scenario>; 11] = [
    locks::mutex,
    locks::rlock,
    locks::semaphore,
    waiting::condvar,
    waiting::event,
    waiting::barrier,
    channels::queue,
    channels::queue_in_batches,
    channels::channel,
    channels::pipe,
    peers::peers,
];

struct Options {
    kills: u64,
    seed: u64,
    only: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { kills: 500, seed: 1, only: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{value} is no number"));
        match argument.as_str() {
            "--kills" => options.kills = number()?,
            "--seed" => options.seed = number()?,
            "--only" => options.only = Some(value),
            _ => return Err(format!("unknown: {argument}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    millpond::init();
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let mut sum = Outcome::default();
    let share = options.kills / if options.only.is_some() { 1 } else { SCENARIOS.len() as u64 };
    for (set_up, number) in SCENARIOS.iter().zip(0..) {
        let scenario = set_up().expect("memory for a few primitives");
        if options.only.as_ref().is_some_and(|only| only != scenario.name) {
            continue;
        }
        let outcome = perform(scenario, share, options.seed.wrapping_mul(1000) + number);
        println!("{outcome}");
        sum += outcome;
    }
    println!(
        "Rust, seed {}: {} kills in {:.0} s: {} hangs, {} lost, {} doubled, {} leaked, {} faults",
        options.seed,
        sum.kills,
        start.elapsed().as_secs_f64(),
        sum.hangs,
        sum.lost,
        sum.doubled,
        sum.leaked,
        sum.faults.len(),
    );
    if sum.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
