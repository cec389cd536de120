//! `cargo xtask clean`

use std::fs;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::root;
use crate::run::say;

/// Remove what these commands have made under target/, but not what cargo has.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn execute(project: &Project, Args {}: &Args) -> Result<()> {
    for name in ["interpreters", "interpreters.new"] {
        let directory = project.target(name);
        if directory.exists() {
            say(format_args!("removing {}", directory.display()));
            root::remove(&directory)?;
        }
    }
    for name in ["venv", "wheel", "demo", "reports"] {
        let directory = project.target(name);
        if directory.exists() {
            say(format_args!("removing {}", directory.display()));
            fs::remove_dir_all(&directory).map_err(Error::file("remove", directory))?;
        }
    }
    Ok(())
}
