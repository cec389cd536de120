//! Building the wheel of the Python package.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::venv::Venv;

/// Builds the wheel with the maturin of `tools`. One serves all versions of CPython, and the same
/// sources give the same bytes.
pub(crate) fn build(project: &Project, tools: &Venv<'_>) -> Result<PathBuf> {
    let directory = project.target("wheel");
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(Error::file("remove", &directory))?;
    }
    say("building the wheel");
    tools
        .command()
        .args(["-I", "-m", "maturin", "build", "--release", "--locked", "--quiet"])
        // For this machine: nothing is checked against, or repaired for, a manylinux policy.
        .args(["--compatibility", "linux"])
        .arg("--interpreter")
        .arg(tools.python())
        .arg("--out")
        .arg(&directory)
        // The earliest date that a zip file can hold, in place of the time of the build.
        .env("SOURCE_DATE_EPOCH", "315532800")
        .run_quietly()?;
    let entries = directory.read_dir().map_err(Error::file("list", &directory))?;
    let wheels: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match <[PathBuf; 1]>::try_from(wheels) {
        Ok([wheel]) => Ok(wheel),
        Err(wheels) => Err(Error::Wheels { directory, number: wheels.len() }),
    }
}
