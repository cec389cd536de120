//! `cargo xtask damage`

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::setup::set_up;

/// Have processes write random bytes, ones, zeros and holes into all memory that they share.
///
/// Others use what lies there meanwhile and afterwards: a pool, or an object of each kind. A call must
/// end, with a result or an error that its kind has; no process may die of a signal, and no pool may
/// start more than three workers for one that did damage. Each case has a process, a seed and a time
/// limit of its own, after which it writes where its threads are. Then the same with the Rust crate.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many damages of each kind.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed: with `--seeds 1` one case of a kind, to repeat it.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only these kinds, and of the Python package alone; an unknown name lists them.
    #[arg(long, num_args = 1.., value_name = "KIND")]
    only: Vec<String>,
    /// Write the results to tests/damage/runs/.
    #[arg(long)]
    save: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let mut command = set_up(project)?.venv.command();
    let numbers = [args.seeds.to_string(), args.first.to_string()];
    command
        .args(["-m", "damage", "--seeds", &numbers[0], "--first", &numbers[1]])
        .env("PYTHONPATH", project.path("tests"));
    if !args.only.is_empty() {
        command.arg("--only").args(&args.only);
    }
    if args.save {
        command.arg("--save").arg(project.path("tests/damage/runs"));
    }
    let is_well = command.status_of()?.success();
    if args.only.is_empty() {
        say("the Rust half");
        let tests = ["test", "--release", "--package", "millpond"];
        let damage = ["--test", "pool_damage", "--test", "object_damage"];
        let mut rust = project.cargo();
        rust.args(tests).args(damage).env("MILLPOND_DAMAGE_SEEDS", &numbers[0]);
        rust.run()?;
    }
    if is_well { Ok(()) } else { Err(Error::Reported) }
}
