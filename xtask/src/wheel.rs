//! Building the distributions of the Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::project::Project;
use crate::run::{Run, say};
use crate::venv::Venv;

/// The oldest C library that Rust's standard library runs on, hence the oldest that works.
const PLATFORM: &str = "manylinux_2_17";

/// Which interpreters a wheel is for, by the ABI that its engine is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// `cp311-abi3`: every CPython from 3.11 on but the free-threaded builds.
    Abi3,
    /// `cp315-abi3.abi3t` (PEP 803): every CPython from 3.15 on, free-threaded or not.
    Abi3t,
}

impl Abi {
    pub(crate) const ALL: [Self; 2] = [Self::Abi3, Self::Abi3t];

    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Abi3 => "cp311-abi3",
            Self::Abi3t => "cp315-abi3.abi3t",
        }
    }

    /// The oldest minor version that loads it; one of these has to be there to build it.
    pub(crate) fn oldest(self) -> u32 {
        match self {
            Self::Abi3 => 11,
            Self::Abi3t => 15,
        }
    }

    /// What maturin is told beyond what `crates/millpond-py/Cargo.toml` says.
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Abi3 => &[],
            Self::Abi3t => &["--features", "pyo3/abi3t-py315"],
        }
    }
}

/// Builds the wheel for this machine with the maturin of `tools`. One serves all versions of
/// CPython, and the same sources give the same bytes.
pub(crate) fn build(project: &Project, tools: &Venv<'_>) -> Result<PathBuf> {
    say("building the wheel");
    let mut command = maturin(tools, "build");
    command.args(["--release", "--locked", "--quiet"]);
    // For this machine: nothing is checked against, or repaired for, a manylinux policy.
    command.args(["--compatibility", "linux"]);
    command.arg("--interpreter").arg(tools.interpreter().outside());
    built(command, &project.target("wheel"))
}

/// Builds a wheel that an index accepts. maturin's audit of the symbols that it needs fails the
/// build if a system of the platform lacks one.
pub(crate) fn build_portable(
    project: &Project,
    tools: &Venv<'_>,
    abi: Abi,
    interpreter: &Interpreter,
) -> Result<PathBuf> {
    say(format_args!("building the wheel for {} and {PLATFORM}", abi.tag()));
    let mut command = maturin(tools, "build");
    command.args(["--release", "--locked", "--quiet", "--zig"]);
    command.args(["--compatibility", PLATFORM, "--auditwheel", "check"]).args(abi.features());
    command.arg("--interpreter").arg(interpreter.outside());
    if abi == Abi::Abi3t {
        // Of this one, PyO3 asks the interpreter.
        command.env_remove("PYO3_NO_PYTHON");
    }
    let directory = project.target("wheels").join(abi.tag());
    separate_debug_info(tools, &built(command, &directory)?)
}

/// Builds the source distribution.
pub(crate) fn build_sdist(project: &Project, tools: &Venv<'_>) -> Result<PathBuf> {
    say("building the source distribution");
    built(maturin(tools, "sdist"), &project.target("wheels").join("sdist"))
}

fn maturin(tools: &Venv<'_>, command: &str) -> Command {
    // It needs cargo, hence the machine's own system; and zig, of the environment.
    let mut maturin = tools.tool_among_others("maturin");
    maturin
        .arg(command)
        // The earliest date that a zip file can hold, in place of the time of the build.
        .env("SOURCE_DATE_EPOCH", EPOCH);
    maturin
}

const EPOCH: &str = "315532800";

/// Has maturin write into an empty directory; what it has written.
fn built(mut command: Command, directory: &Path) -> Result<PathBuf> {
    clear(directory)?;
    command.arg("--out").arg(directory).run_quietly()?;
    only_file(directory)
}

/// Moves the engine's debug information into a file beside the wheel, where debuggers find it by
/// the name that stays in the engine (`.gnu_debuglink`).
fn separate_debug_info(tools: &Venv<'_>, wheel: &Path) -> Result<PathBuf> {
    let directory = wheel.parent().unwrap_or(Path::new("."));
    let unpacked = directory.join("unpacked");
    let python = || {
        let mut command = tools.command();
        command.args(["-I", "-m", "wheel"]).env("SOURCE_DATE_EPOCH", EPOCH);
        command
    };
    python().arg("unpack").arg(wheel).arg("--dest").arg(&unpacked).run_quietly()?;
    fs::remove_file(wheel).map_err(Error::file("remove", wheel))?;
    let package = only_file(&unpacked)?;
    let engine = engine_of(&package.join("millpond"))?;
    let mut symbols = engine.file_name().unwrap_or_default().to_owned();
    symbols.push(".debug");
    let symbols = directory.join(symbols);
    objcopy().arg("--only-keep-debug").arg(&engine).arg(&symbols).run_quietly()?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&symbols);
    objcopy().arg("--strip-all").arg(link).arg(&engine).run_quietly()?;
    python().arg("pack").arg(&package).arg("--dest-dir").arg(directory).run_quietly()?;
    fs::remove_dir_all(&unpacked).map_err(Error::file("remove", &unpacked))?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    one(directory, is_wheel)
}

/// The program of binutils, which the linker of this machine's own builds is a part of.
fn objcopy() -> Command {
    Command::new("objcopy")
}

fn engine_of(directory: &Path) -> Result<PathBuf> {
    one(directory, |path| path.extension().is_some_and(|extension| extension == "so"))
}

fn only_file(directory: &Path) -> Result<PathBuf> {
    one(directory, |_| true)
}

/// The one entry of a directory that is such.
fn one(directory: &Path, is_such: impl Fn(&PathBuf) -> bool) -> Result<PathBuf> {
    let entries = directory.read_dir().map_err(Error::file("list", directory))?;
    let found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_such).collect();
    <[PathBuf; 1]>::try_from(found)
        .map(|[path]| path)
        .map_err(|found| Error::Builds { directory: directory.to_owned(), number: found.len() })
}

fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(Error::file("remove", directory))?;
    }
    Ok(())
}
