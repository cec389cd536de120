//! `cargo xtask conformance`

use std::ffi::OsString;
use std::process::Command;

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::place::Place;
use crate::project::Project;
use crate::run::{Run, say};
use crate::search::all_interpreters;
use crate::setup::set_up;
use crate::tally::Tally;
use crate::venv::Venv;

/// Run CPython's own tests of multiprocessing on millpond and on the standard library.
///
/// The tests are those of the installed interpreters; their outcomes are compared test by test.
/// A private copy of each interpreter, made under target/, has millpond in place of its
/// multiprocessing, which each class of tests proves for every name.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the default interpreter, not every one of this machine.
    #[arg(long)]
    default_only: bool,
    /// Write the reports to tests/conformance/runs/.
    #[arg(long)]
    record: bool,
    /// What the judge gets, for instance `fork --classes Lock`; try `-- --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let setup = set_up(project)?;
    let mut worse = !judge(project, &setup.venv, args)?;
    if !args.default_only {
        let found = all_interpreters(project);
        let matrix = Matrix::of(setup.venv.interpreter(), found);
        for minor in matrix.absent {
            say(format_args!("CPython 3.{minor} is absent from this machine"));
        }
        for interpreter in matrix.others {
            let venv = setup.set_up_other(project, interpreter)?;
            worse |= !judge(project, &venv, args)?;
        }
    }
    if worse { Err(Error::Reported) } else { Ok(()) }
}

/// The quick part, on millpond alone: the suite of fork, and of the default start method.
pub(crate) fn quick(project: &Project, venv: &Venv<'_>, place: Place) -> Result<Tally> {
    let version = venv.interpreter().version;
    let methods: &[&str] = if version.minor < 14 { &["fork"] } else { &["fork", "forkserver"] };
    say(format_args!("CPython {version}'s own tests under {}", methods.join(" and ")));
    let mut command = command(project, venv);
    command.args(methods).arg("--candidate-only");
    let (status, output) = place.output_of(project, &format!("conformance-{version}"), command)?;
    let mut tally = output.lines().last().and_then(Tally::parse).unwrap_or_default();
    tally.blame(status.success());
    Ok(tally)
}

fn command(project: &Project, venv: &Venv<'_>) -> Command {
    let mut command = venv.command();
    command
        .args(["-m", "conformance", "--work"])
        .arg(project.target("conformance"))
        .env("PYTHONPATH", project.path("tests"));
    command
}

fn judge(project: &Project, venv: &Venv<'_>, args: &Args) -> Result<bool> {
    say(format_args!("CPython {}'s own tests", venv.interpreter().version));
    let mut command = command(project, venv);
    command.args(&args.args);
    if args.record {
        command.arg("--output").arg(project.path("tests/conformance/runs"));
    }
    Ok(command.status_of()?.success())
}
