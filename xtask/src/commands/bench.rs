//! `cargo xtask bench`

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::Run;
use crate::setup::set_up;

// Libraries to compare with, which nothing else needs.
const PEERS: &str = "requirements-bench.txt";

/// Run a benchmark of benchsuite/ against the release build of the package.
///
/// Sets up first if need be, installs the peers to compare with, then runs benchsuite/NAME.py with the environment's Python.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmark, for instance `pool`; without it, all are listed.
    name: Option<String>,
    /// What the benchmark gets; try `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let existing = benchmarks(project);
    let Some(name) = &args.name else {
        existing.iter().for_each(|name| println!("{name}"));
        return Ok(());
    };
    if !existing.contains(name) {
        return Err(Error::NoBenchmark { name: name.clone(), existing });
    }
    let venv = set_up(project)?.venv;
    venv.require(PEERS)?;
    let mut python = venv.command();
    python.arg(project.path(&format!("benchsuite/{name}.py"))).args(&args.args);
    let source = python.exec();
    Err(Error::Start { program: python.line(), source })
}

fn benchmarks(project: &Project) -> Vec<String> {
    let entries = project.path("benchsuite").read_dir();
    let mut names: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".py").map(str::to_owned))
        .filter(|name| !name.starts_with('_'))
        .collect();
    names.sort();
    names
}
