//! `cargo xtask differential`

use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::Run;
use crate::setup::set_up;

/// Run random programs on the standard library and on millpond, and compare what they do.
///
/// What differs and is not promised in COMPATIBILITY.md is a fault; the program is made smaller
/// while it has that fault, and printed. tests/differential/fuzzer/README.md tells more.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many programs.
    #[arg(long, default_value_t = 1000)]
    programs: u64,
    /// The first program; the others are those that follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin no further program after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Only these programs.
    #[arg(long, num_args = 1.., value_name = "SEED")]
    only: Vec<u64>,
    /// Print this program and run nothing.
    #[arg(long, value_name = "SEED")]
    show: Option<u64>,
    /// How millpond gets into the programs.
    #[arg(long, value_enum, default_value_t = Way::Import)]
    way: Way,
    /// Write the report to tests/differential/runs/.
    #[arg(long)]
    record: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Way {
    /// `import millpond as multiprocessing`
    Import,
    /// `millpond.install()`
    Install,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let venv = set_up(project)?.venv;
    let mut command = venv.command();
    command
        .args(["-m", "fuzzer", "--programs", &args.programs.to_string()])
        .args(["--seed", &args.seed.to_string()])
        .args(["--way", if matches!(args.way, Way::Install) { "install" } else { "import" }])
        .env("PYTHONPATH", project.path("tests/differential"));
    if let Some(seconds) = args.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(seed) = args.show {
        command.args(["--show", &seed.to_string()]);
    }
    if !args.only.is_empty() {
        command.arg("--only").args(args.only.iter().map(u64::to_string));
    }
    if args.record {
        command.arg("--record").arg(project.path("tests/differential/runs"));
    }
    if command.status_of()?.success() { Ok(()) } else { Err(Error::Reported) }
}
