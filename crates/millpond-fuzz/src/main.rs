//! `millpond-fuzz TARGET SECONDS SEED`: mutations of the seeds, for so long.
//!
//! Before each call the input is in the file that is named by `FUZZ_INPUT`, if that is set, so that
//! it is there should the call end the process.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use millpond_fuzz::mutate::{Noise, damage};
use millpond_fuzz::targets::find;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, seconds, seed] = &arguments[..] else {
        eprintln!("usage: millpond-fuzz TARGET SECONDS SEED");
        return ExitCode::FAILURE;
    };
    let (Some(target), Ok(seconds), Ok(seed)) = (find(name), seconds.parse(), seed.parse()) else {
        eprintln!("there is no target {name}, or {seconds} or {seed} is no number");
        return ExitCode::FAILURE;
    };
    let input_file = std::env::var_os("FUZZ_INPUT");
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut noise, seeds) = (Noise::new(seed), (target.seeds)());
    let mut executions = 0_u64;
    while Instant::now() < end {
        for _ in 0..64 {
            let mut input = seeds[noise.below(seeds.len())].clone();
            damage(&mut input, &mut noise);
            if let Some(file) = &input_file {
                let _ = std::fs::write(file, &input);
            }
            (target.run)(&input);
            executions += 1;
        }
    }
    println!("{name}: {executions} executions, nothing found");
    ExitCode::SUCCESS
}
