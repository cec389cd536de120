//! `millpond-fuzz TARGET SECONDS SEED`: mutations of the seeds, for so long. `millpond-fuzz list`:
//! the names of the targets. `millpond-fuzz seeds TARGET FOLDER`: writes the seeds there.
//!
//! Before each call the input is in the file that is named by `FUZZ_INPUT`, if that is set, so that
//! it is there should the call end the process.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use millpond_fuzz::mutate::{Noise, damage};
use millpond_fuzz::targets::{TARGETS, find};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            return ExitCode::SUCCESS;
        }
        ["seeds", name, folder] => return write_seeds(name, Path::new(folder)),
        _ => {}
    }
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

fn write_seeds(name: &str, folder: &Path) -> ExitCode {
    let seeds = find(name).map(|target| (target.seeds)()).unwrap_or_default();
    let write =
        |(n, seed): (usize, Vec<u8>)| std::fs::write(folder.join(format!("seed-{n}")), seed);
    match seeds.into_iter().enumerate().try_for_each(write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to write seeds to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
