//! A virtual environment under target/, brought up to date in the fewest steps.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::project::Project;
use crate::run::{Run, say};

pub(crate) struct Venv<'a> {
    project: &'a Project,
    interpreter: Interpreter,
    directory: PathBuf,
}

impl<'a> Venv<'a> {
    /// Opens the environment of an interpreter; makes it unless it is there and whole.
    pub(crate) fn open(project: &'a Project, interpreter: Interpreter) -> Result<Self> {
        let directory = project.target(&format!("venv/{}", interpreter.version));
        let venv = Self { project, interpreter, directory };
        let outside = venv.interpreter.outside();
        let identity = outside.as_os_str().as_encoded_bytes();
        // Outside its root, an interpreter is a link that leads nowhere.
        let exists = venv.python().symlink_metadata().is_ok();
        if !(exists && venv.has_stamp("interpreter", identity)) {
            venv.make()?;
            venv.put_stamp("interpreter", identity)?;
        }
        Ok(venv)
    }

    pub(crate) fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// The environment's own interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        self.directory.join("bin/python")
    }

    /// A run of the environment's interpreter at the root of the project.
    pub(crate) fn command(&self) -> Command {
        self.interpreter.program(self.project, self.python())
    }

    /// A compiled program of the environment, which runs outside of any root.
    pub(crate) fn tool(&self, name: &str) -> Command {
        self.project.program(self.directory.join("bin").join(name))
    }

    /// A compiled program that starts other programs of the environment.
    pub(crate) fn tool_among_others(&self, name: &str) -> Command {
        let programs = self.directory.join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)));
        let mut command = self.tool(name);
        // A directory whose name has a colon in it cannot be there.
        command.env("PATH", path.unwrap_or_default());
        command
    }

    /// Installs what a file of tools/ pins, unless that was done.
    pub(crate) fn require(&self, file: &str) -> Result<()> {
        let path = self.project.path("tools").join(file);
        let pins = fs::read(&path).map_err(Error::file("read", &path))?;
        if self.has_stamp(file, &pins) {
            return Ok(());
        }
        say(format_args!("installing {file} for CPython {}", self.interpreter.version));
        self.pip().arg("--require-hashes").arg("--requirement").arg(path).run()?;
        self.put_stamp(file, &pins)
    }

    /// Installs the package, unless these very bytes are installed.
    pub(crate) fn install(&self, wheel: &Path) -> Result<()> {
        let bytes = fs::read(wheel).map_err(Error::file("read", wheel))?;
        if self.has_stamp("wheel", &bytes) {
            return Ok(());
        }
        say(format_args!("installing the package for CPython {}", self.interpreter.version));
        // Its dependencies are among the pinned packages.
        self.pip().args(["--no-index", "--no-deps", "--force-reinstall"]).arg(wheel).run()?;
        self.put_stamp("wheel", &bytes)
    }

    fn make(&self) -> Result<()> {
        say(format_args!("making an environment of CPython {}", self.interpreter.version));
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory).map_err(Error::file("remove", &self.directory))?;
        }
        self.interpreter
            .program(self.project, &self.interpreter.executable)
            .args(["-I", "-m", "venv"])
            .arg(&self.directory)
            .run()
    }

    fn pip(&self) -> Command {
        let mut command = self.command();
        command
            .args(["-I", "-m", "pip", "install"])
            .args(["--quiet", "--disable-pip-version-check", "--no-input"])
            // Settings of the user that would install elsewhere or refuse the package itself.
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_HASHES", "0")
            .env_remove("PIP_TARGET")
            .env_remove("PIP_PREFIX");
        command
    }

    /// Whether a step was done with this input; a stamp is a copy of the input.
    fn has_stamp(&self, step: &str, input: &[u8]) -> bool {
        fs::read(self.stamp(step)).is_ok_and(|stamp| stamp == input)
    }

    fn put_stamp(&self, step: &str, input: &[u8]) -> Result<()> {
        let path = self.stamp(step);
        fs::write(&path, input).map_err(Error::file("write", path))
    }

    fn stamp(&self, step: &str) -> PathBuf {
        self.directory.join(format!("{step}.stamp"))
    }
}
