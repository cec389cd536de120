//! An environment in which nothing is but what a user would install, outside of the project.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::place::Place;
use crate::project::Project;
use crate::pytest;
use crate::run::Run;
use crate::tally::Tally;

/// Fast tests of most parts of the package; a few hundred cases.
const TESTS: [&str; 7] = [
    "tests/primitives/test_barrier.py",
    "tests/primitives/test_event.py",
    "tests/primitives/test_lock.py",
    "tests/primitives/test_semaphore.py",
    "tests/test_await.py",
    "tests/test_executor.py",
    "tests/test_names.py",
];

/// Removed when it is dropped.
pub(crate) struct Fresh<'a> {
    project: &'a Project,
    interpreter: &'a Interpreter,
    directory: PathBuf,
}

impl<'a> Fresh<'a> {
    /// Makes an environment and installs a wheel or a source distribution, with what that needs.
    pub(crate) fn with(
        project: &'a Project,
        interpreter: &'a Interpreter,
        distribution: &Path,
    ) -> Result<Self> {
        let directory =
            env::temp_dir().join(format!("millpond-{}-{}", interpreter.version, process::id()));
        fs::create_dir(&directory).map_err(Error::file("make", &directory))?;
        let fresh = Self { project, interpreter, directory };
        let mut venv = fresh.run(&interpreter.executable);
        venv.args(["-I", "-m", "venv", "venv"]).run_quietly()?;
        fresh.pip().arg(distribution).run_quietly()?;
        Ok(fresh)
    }

    /// Runs tests/wheels/smoke.py; how many of its steps worked.
    pub(crate) fn smoke(&self) -> Result<Tally> {
        let program = self.project.path("tests/wheels/smoke.py");
        let here = self.directory.join("smoke.py");
        fs::copy(&program, &here).map_err(Error::file("copy", &program))?;
        let (status, output) = self.python().arg("smoke.py").output_of()?;
        let passed = output.lines().filter(|line| line.starts_with("works: ")).count() as u64;
        let mut tally = Tally { passed, ..Tally::default() };
        tally.blame(status.success());
        Ok(tally)
    }

    /// Runs some of the project's tests, out of a copy.
    pub(crate) fn tests(&self, place: Place) -> Result<Tally> {
        let pins = self.project.path("tools/requirements-test.txt");
        self.pip().args(["--require-hashes", "--requirement"]).arg(pins).run_quietly()?;
        let mut copy = Command::new("cp");
        copy.arg("--recursive").arg(self.project.path("tests")).arg(&self.directory);
        copy.run()?;
        for file in ["pyproject.toml", "Cargo.toml", "COMPATIBILITY.md"] {
            let (from, to) = (self.project.path(file), self.directory.join(file));
            fs::copy(&from, to).map_err(Error::file("copy", &from))?;
        }
        let report = self.directory.join("report.xml");
        let name = format!("fresh-{}", self.interpreter.version);
        pytest::run_with(self.python(), &report, &TESTS, |command| {
            place.run(self.project, &name, command)
        })
    }

    fn python(&self) -> Command {
        self.run(self.directory.join("venv/bin/python"))
    }

    fn pip(&self) -> Command {
        let mut command = self.python();
        command.args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        // A source distribution is built there; what it is made of is not built each time.
        command.env("CARGO_TARGET_DIR", self.project.target("sdist"));
        command
    }

    fn run(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.interpreter.program(self.project, program);
        command.current_dir(&self.directory);
        command
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        // What is left lies among other temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
