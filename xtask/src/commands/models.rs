//! `cargo xtask models`

use std::process::Stdio;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::libtest;
use crate::mutants::{self, Mutant, Nursery};
use crate::project::Project;
use crate::run::{Run, say};

/// Run the models of the primitives through more interleavings than the tests do.
///
/// The models (crates/millpond-models) are the engine's own source on loom. `cargo xtask test` runs
/// them with few preemptions; this takes some minutes. Each model tells how many executions it had.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only models whose name contains this.
    name: Option<String>,
    /// Break the source in the ways that crates/millpond-models/mutants.txt lists, one at a time,
    /// and check that the models notice each.
    #[arg(long)]
    mutants: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    if args.mutants {
        return check_mutants(project, args.name.as_deref());
    }
    say("running the models; each line is a model that holds");
    let started = Instant::now();
    let mut cargo = project.cargo();
    cargo.env("MILLPOND_MODELS", "deep");
    cargo.args(["test", "-p", "millpond-models", "--no-fail-fast", "--"]);
    let tally = libtest::run(cargo.args(&args.name).args(["--nocapture", "--test-threads=2"]))?;
    println!("\n{tally} in {} s", started.elapsed().as_secs());
    if tally.failed == 0 { Ok(()) } else { Err(Error::Reported) }
}

fn check_mutants(project: &Project, name: Option<&str>) -> Result<()> {
    let list = project.path("crates/millpond-models/mutants.txt");
    let list = std::fs::read_to_string(&list).map_err(Error::file("read", list))?;
    let nursery = Nursery::new(project)?;
    let mutants = mutants::read(&list);
    let chosen = mutants.iter().filter(|mutant| {
        name.is_none_or(|name| mutant.file.contains(name) || mutant.what.contains(name))
    });
    say("building the models, to break them one way after the other");
    if !models(project, &nursery).status_of()?.success() {
        say("the models do not hold as they are");
        return Err(Error::Reported);
    }
    let (mut noticed, mut missed) = (0, 0);
    for mutant in chosen {
        let Mutant { test, file, what, .. } = mutant;
        let models = || models(project, &nursery).args(["--test", test]).status_of();
        let held = nursery.with(mutant, models)??.success();
        if held {
            missed += 1;
            println!("MISSED   {file}: {what}");
        } else {
            noticed += 1;
            println!("noticed  {file}: {what}");
        }
    }
    println!("\n{noticed} mutants noticed, {missed} missed");
    if missed == 0 { Ok(()) } else { Err(Error::Reported) }
}

/// The test run of the copy; how it ends is all that counts.
fn models(project: &Project, nursery: &Nursery) -> std::process::Command {
    let mut cargo = project.cargo();
    cargo.current_dir(nursery.path()).env("CARGO_TARGET_DIR", nursery.path().join("target"));
    // What an interrupted run left half-compiled must not be taken for the source.
    cargo.env("CARGO_INCREMENTAL", "0");
    cargo.args(["test", "--quiet", "--offline", "-p", "millpond-models"]);
    cargo.stdout(Stdio::null()).stderr(Stdio::null());
    cargo
}
