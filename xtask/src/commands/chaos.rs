//! `cargo xtask chaos`

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::setup::set_up;

/// Kill processes that use the primitives, at random, and check what must hold nevertheless.
///
/// For each primitive, processes use it as fast as they can, are killed by SIGKILL and started
/// anew. The survivors must go on; no committed item may be lost or doubled; in the end no process,
/// descriptor or page of shared memory may be left. tests/chaos/README.md tells more.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many kills in all.
    #[arg(long, default_value_t = 1000)]
    kills: u64,
    /// Seed of the choice of victims and pauses, which repeats them as far as the machine lets it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these scenarios, and of the Python package alone; an unknown name lists them.
    #[arg(long, num_args = 1.., value_name = "NAME")]
    only: Vec<String>,
    /// Write the results to tests/chaos/runs/.
    #[arg(long)]
    save: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let venv = set_up(project)?.venv;
    let mut command = venv.command();
    command
        .args(["-m", "chaos", "--kills", &args.kills.to_string(), "--seed", &args.seed.to_string()])
        .env("PYTHONPATH", project.path("tests"));
    if args.only.is_empty() {
        say("building the Rust half");
        let build =
            ["build", "--release", "--quiet", "--package", "millpond", "--example", "chaos"];
        project.cargo().args(build).run()?;
        command.arg("--rust").arg(project.target("release/examples/chaos"));
    } else {
        command.arg("--only").args(&args.only);
    }
    if args.save {
        command.arg("--save").arg(project.path("tests/chaos/runs"));
    }
    if command.status_of()?.success() { Ok(()) } else { Err(Error::Reported) }
}
