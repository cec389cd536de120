//! `cargo xtask demo`

use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::setup::set_up;

/// Show what the library does, on real input, in Rust and in Python.
///
/// Analyses every source file of Python's standard library, serially and in a pool, while one
/// worker is killed; then does the like in Rust. Each run writes a timeline picture to
/// target/demo/.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Worker processes in each pool [default: one for each processor, at least 2].
    #[arg(long, value_name = "N")]
    workers: Option<NonZero<usize>>,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let setup = set_up(project)?;
    let pictures = project.target("demo");
    fs::create_dir_all(&pictures).map_err(Error::file("make", &pictures))?;
    let workers = args
        .workers
        .or_else(|| available_parallelism().ok())
        .map_or(2, |number| number.get().max(2))
        .to_string();

    say("the demo in Python");
    let python = pictures.join("python.html");
    setup
        .venv
        .command()
        .arg(project.path("examples/demo/analyse.py"))
        .args(["--workers", &workers])
        .arg("--timeline")
        .arg(&python)
        .run()?;

    say("the demo in Rust");
    let rust = pictures.join("rust.html");
    project
        .cargo()
        .args(["run", "--release", "--quiet", "--package", "millpond", "--example", "demo", "--"])
        .args(["--workers", &workers])
        .arg("--timeline")
        .arg(&rust)
        .arg("--source")
        .arg(&setup.venv.interpreter().stdlib)
        .run()?;

    println!("\nTimelines (open in a browser):");
    println!("  {}\n  {}", python.display(), rust.display());
    Ok(())
}
