//! `cargo xtask python`

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::Run;
use crate::setup::set_up;

/// Run the environment's Python, in which the package is installed.
///
/// Sets up first if need be. The program runs at the root of the project.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What Python gets: options, a script, its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let mut python = set_up(project)?.venv.command();
    python.args(&args.args);
    // In this process's place, so that signals and the exit status are the program's own.
    let source = python.exec();
    Err(Error::Start { program: python.line(), source })
}
