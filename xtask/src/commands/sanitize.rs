//! `cargo xtask sanitize`

use crate::error::{Error, Result};
use crate::libtest;
use crate::project::Project;
use crate::run::say;
use crate::sanitizer::{self, Sanitizer};
use crate::tally::Tally;

/// Run the engine's unit tests under the address and the thread sanitizer.
///
/// The stable toolchain has both, but the standard library is not built with them. So the thread
/// sanitizer watches only tests whose threads meet in the engine's own atomics, and neither follows
/// what one process does to the memory of another: that is what models, crash points and chaos are
/// for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this.
    name: Option<String>,
}

/// Tests whose threads the thread sanitizer can follow.
const THREADED: [&str; 2] = ["channel::ring", "sync::"];

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let mut sum = Tally::default();
    say("the engine's unit tests under the address sanitizer");
    sum += run(project, Sanitizer::Address, args.name.as_slice())?;
    say("those of rings and locks under the thread sanitizer");
    let threaded = THREADED.map(str::to_owned);
    sum += run(
        project,
        Sanitizer::Thread,
        args.name.as_ref().map_or(&threaded, std::slice::from_ref),
    )?;
    println!("\n{sum} under two sanitizers");
    if sum.failed == 0 { Ok(()) } else { Err(Error::Reported) }
}

fn run(project: &Project, sanitizer: Sanitizer, names: &[String]) -> Result<Tally> {
    let folder = match sanitizer {
        Sanitizer::Address => "sanitized/address",
        Sanitizer::Thread => "sanitized/thread",
    };
    let mut cargo = sanitizer::cargo(project, sanitizer, "", folder);
    cargo.args(["test", "-p", "millpond-core", "--lib", "--"]).args(names);
    // Forked children end without exit handlers, so leaks are looked for in the test program alone.
    cargo.env("ASAN_OPTIONS", "detect_stack_use_after_return=1");
    let known = project.path("xtask/tsan-suppressions.txt");
    cargo.env("TSAN_OPTIONS", format!("suppressions={}", known.display()));
    libtest::run(&mut cargo)
}
