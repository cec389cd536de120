//! From a fresh clone to an environment in which the package is installed.

use std::path::PathBuf;

use crate::error::Result;
use crate::interpreter::Interpreter;
use crate::project::Project;
use crate::search::default_interpreter;
use crate::venv::Venv;
use crate::wheel;

// What running the tests and programs needs, and what building and linting need besides.
const TEST: &str = "requirements-test.txt";
const DEVELOPMENT: &str = "requirements-dev.txt";
/// What tests/programs runs unmodified. It is large; other interpreters skip those tests.
const PROGRAMS: &str = "requirements-programs.txt";

pub(crate) struct Setup<'a> {
    pub(crate) venv: Venv<'a>,
    pub(crate) wheel: PathBuf,
}

/// Sets up the default interpreter's environment: tools, the wheel, the package.
pub(crate) fn set_up(project: &Project) -> Result<Setup<'_>> {
    let venv = Venv::open(project, default_interpreter(project)?)?;
    venv.require(DEVELOPMENT)?;
    venv.require(TEST)?;
    let wheel = wheel::build(project, &venv)?;
    venv.install(&wheel)?;
    Ok(Setup { venv, wheel })
}

impl<'a> Setup<'a> {
    /// Installs the programs that tests run on the default interpreter.
    pub(crate) fn add_programs(&self) -> Result<()> {
        self.venv.require(PROGRAMS)
    }

    /// Sets up the environment of another interpreter for running the tests.
    pub(crate) fn set_up_other(
        &self,
        project: &'a Project,
        interpreter: Interpreter,
    ) -> Result<Venv<'a>> {
        let venv = Venv::open(project, interpreter)?;
        venv.require(TEST)?;
        venv.install(&self.wheel)?;
        Ok(venv)
    }
}
