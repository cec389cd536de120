//! Where the project is, and where what is made from it goes.

use std::env;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use crate::error::{Error, Result};

pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    pub(crate) fn locate() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(Error::NotUnderCargo)?;
        let root = Path::new(&manifest).parent().ok_or(Error::NotUnderCargo)?.to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(path) => absolute(&path).map_err(Error::file("find", path))?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A path inside the project.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path inside the directory that holds all that is made.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// The directories that a program must see: the project, and where its files are made.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        let outside = !self.target.starts_with(&self.root);
        [self.root.as_path()].into_iter().chain(outside.then_some(self.target.as_path()))
    }

    /// A program that runs at the root of the project, free of the caller's Python settings.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH");
        command
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut command =
            self.program(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
        // The stable ABI needs no interpreter; one that is found and too old would fail the build.
        command.env("PYO3_NO_PYTHON", "1");
        command
    }
}
