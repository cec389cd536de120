//! Mutants: copies of the models and of the source that they include, each broken in one place.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::project::Project;

/// A way to break the source.
pub(crate) struct Mutant {
    /// The test file that notices.
    pub(crate) test: String,
    /// The file, below the engine's `src/` or, failing that, the models'.
    pub(crate) file: String,
    pub(crate) what: String,
    from: String,
    to: String,
}

/// The mutants of a list, as described in its first lines.
pub(crate) fn read(list: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    blocks
        .map(|block| {
            let (place, what) = block[0].split_once(": ").unwrap_or((block[0], ""));
            let (test, file) = place.split_once(' ').unwrap_or(("", place));
            let line = |n: usize, sign| {
                block.get(n).and_then(|line| line.strip_prefix(sign)).unwrap_or_default().to_owned()
            };
            let (from, to) = (line(1, "- "), line(2, "+ "));
            let [test, file, what] = [test, file, what].map(str::to_owned);
            Mutant { test, file, what, from, to }
        })
        .collect()
}

/// A copy of what the models are made of, in which mutants are made.
pub(crate) struct Nursery {
    root: PathBuf,
}

impl Nursery {
    pub(crate) fn new(project: &Project) -> Result<Self> {
        let root = project.target("mutants");
        let _ = fs::remove_dir_all(root.join("crates"));
        for part in ["crates/millpond-core/src", "crates/millpond-models"] {
            copy(&project.path(part), &root.join(part))?;
        }
        let manifest = read_file(&project.path("Cargo.toml"))?;
        let members = manifest.find("members = [").zip(manifest.find("]\n\n[workspace.package]"));
        let (start, end) = members.ok_or(Error::Mutant { why: "Cargo.toml has no members" })?;
        let manifest = format!(
            "{}members = [\"crates/millpond-models\"{}",
            &manifest[..start],
            &manifest[end..]
        );
        write_file(&root.join("Cargo.toml"), &manifest)?;
        write_file(&root.join("Cargo.lock"), &read_file(&project.path("Cargo.lock"))?)?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Runs `test` while the source is broken.
    pub(crate) fn with<R>(&self, mutant: &Mutant, test: impl FnOnce() -> R) -> Result<R> {
        let places = ["crates/millpond-core/src", "crates/millpond-models/src"];
        let path = places
            .iter()
            .map(|place| self.root.join(place).join(&mutant.file))
            .filter(|path| path.exists())
            .find(|path| fs::read_to_string(path).is_ok_and(|s| has(&s, &mutant.from)))
            .ok_or(Error::Mutant { why: "its line is not there" })?;
        let source = read_file(&path)?;
        let broken: String = source
            .lines()
            .map(|line| if line.trim() == mutant.from { &mutant.to } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        write_file(&path, &broken)?;
        let result = test();
        write_file(&path, &source)?;
        Ok(result)
    }
}

fn has(source: &str, line: &str) -> bool {
    source.lines().any(|candidate| candidate.trim() == line)
}

fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file("write", path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::file("make", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("read", from))?.flatten() {
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &copied)?;
        } else {
            fs::copy(&source, &copied).map_err(Error::file("copy", &source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let mutants =
            read("# A list.\n\nt a.rs: what\n- old: x\n+ new\n\nt b.rs: else\n- 1\n+ 2\n");
        assert_eq!(mutants.len(), 2);
        let first = &mutants[0];
        assert_eq!((&*first.test, &*first.file, &*first.what), ("t", "a.rs", "what"));
        assert_eq!((&*first.from, &*first.to), ("old: x", "new"));
    }
}
