//! Where the root is, and what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project::Project;

/// The minor versions of CPython 3 that the root has, in the newest patch of each.
pub(crate) const MINORS: [u32; 3] = [13, 14, 15];

/// The directory target/interpreters: the root itself, and the programs that enter it.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    directory: PathBuf,
}

impl Root {
    pub(crate) fn of(project: &Project) -> Self {
        Self { directory: project.target("interpreters") }
    }

    #[cfg(test)]
    pub(crate) fn at(directory: &str) -> Self {
        Self { directory: directory.into() }
    }

    /// All of it; what is unfinished is elsewhere.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The system of the interpreters, seen from outside.
    pub(crate) fn system(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// The program that runs another one in the root.
    pub(crate) fn entry(&self) -> PathBuf {
        self.directory.join("enter")
    }

    /// The program that stands for an interpreter outside the root.
    pub(crate) fn program(&self, minor: u32) -> PathBuf {
        self.directory.join(format!("bin/python3.{minor}"))
    }

    /// Those programs, as far as they are there.
    pub(crate) fn programs(&self) -> impl Iterator<Item = PathBuf> {
        MINORS.into_iter().map(|minor| self.program(minor)).filter(|program| program.is_file())
    }

    /// Whether a program is one of those that enter the root.
    pub(crate) fn has(&self, program: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        let directory = program.parent().and_then(real);
        directory.is_some() && directory == real(&self.directory.join("bin"))
    }

    /// Whether it was made to the end, as a recipe says.
    pub(crate) fn is_made_by(&self, recipe: &str) -> bool {
        fs::read_to_string(self.recipe()).is_ok_and(|text| text == recipe)
    }

    /// A copy of what it was made by, written last.
    pub(crate) fn recipe(&self) -> PathBuf {
        self.directory.join("recipe")
    }
}
