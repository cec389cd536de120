//! `cargo xtask setup`

use crate::error::Result;
use crate::project::Project;
use crate::setup::set_up;

/// Make the environment under target/ and install the package in it; print where things are.
///
/// Finds CPython 3.11 or newer (MILLPOND_PYTHON, python3 and python3.11 to python3.15 on PATH,
/// pyenv, those of `cargo xtask interpreters`), makes a virtual environment, installs the tools that tools/requirements-*.txt pin,
/// builds the wheel in release mode and installs it. What is up to date is left as it is.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn execute(project: &Project, Args {}: &Args) -> Result<()> {
    let setup = set_up(project)?;
    let interpreter = setup.venv.interpreter();
    println!("interpreter:      {}", interpreter.outside().display());
    println!("version:          {}", interpreter.version);
    println!("standard library: {}", interpreter.stdlib.display());
    println!("environment:      {}", setup.venv.python().display());
    println!("wheel:            {}", setup.wheel.display());
    Ok(())
}
