//! `cargo xtask soak`

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::Run;
use crate::setup::set_up;

/// Make, use and give up all primitives for minutes, and check that their memory goes back.
///
/// One queue and one pipe live through all rounds and carry more than their share once in each.
/// In the end there may be no more memory, descriptors and processes than near the beginning.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Write the results to tests/chaos/runs/.
    #[arg(long)]
    save: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let mut command = set_up(project)?.venv.command();
    command
        .args(["-m", "chaos.soak", "--seconds", &args.seconds.to_string()])
        .env("PYTHONPATH", project.path("tests"));
    if args.save {
        command.arg("--save").arg(project.path("tests/chaos/runs"));
    }
    if command.status_of()?.success() { Ok(()) } else { Err(Error::Reported) }
}
