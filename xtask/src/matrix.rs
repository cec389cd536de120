//! Which interpreters are tested, and with how much of the tests.

use std::collections::BTreeMap;

use crate::interpreter::{Interpreter, SUPPORTED};

/// How much of the tests an interpreter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All.
    Whole,
    /// What the marker `version` is on, but what is slow; see tests/conftest.py.
    Version,
    /// Of that, what looks at the interpreter rather than at the engine: the files in tests/ itself.
    Names,
}

/// The interpreters to test besides the default one.
pub(crate) struct Matrix {
    pub(crate) others: Vec<Interpreter>,
    /// The minor versions of which there is none.
    pub(crate) absent: Vec<u32>,
}

impl Matrix {
    /// Chooses among what was found: the newest patch of each minor version, unless it is that of the
    /// default interpreter.
    pub(crate) fn of(default: &Interpreter, found: impl IntoIterator<Item = Interpreter>) -> Self {
        let mut newest = BTreeMap::from([(default.version.minor, default.clone())]);
        for interpreter in found.into_iter().filter(|found| found.version.is_supported()) {
            let best = newest.entry(interpreter.version.minor).or_insert(interpreter.clone());
            if best.version < interpreter.version {
                *best = interpreter;
            }
        }
        let absent = SUPPORTED.into_iter().filter(|minor| !newest.contains_key(minor)).collect();
        let is_other = |found: &Interpreter| found.version != default.version;
        Self { others: newest.into_values().filter(is_other).collect(), absent }
    }

    /// How much of the tests one of the others runs: the oldest and the newest version all of them,
    /// those between what depends on the version, of which there is time for a part.
    pub(crate) fn extent(
        &self,
        default: &Interpreter,
        interpreter: &Interpreter,
        thorough: bool,
    ) -> Extent {
        let versions = || self.others.iter().chain([default]).map(|other| other.version);
        let is = |version| version == Some(interpreter.version);
        if is(versions().max()) || thorough && is(versions().min()) {
            Extent::Whole
        } else if thorough {
            Extent::Version
        } else {
            Extent::Names
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::Version;
    use crate::root::Root;

    fn installed(version: &str) -> Interpreter {
        let version = Version::parse(version).expect("a version");
        Interpreter {
            executable: "/usr/bin/python3".into(),
            version,
            stdlib: "/".into(),
            root: None,
        }
    }

    fn rooted(version: &str) -> Interpreter {
        Interpreter { root: Some(Root::at("/target/interpreters")), ..installed(version) }
    }

    fn versions(matrix: &Matrix) -> Vec<String> {
        matrix.others.iter().map(|other| other.version.to_string()).collect()
    }

    #[test]
    fn the_newest_of_each_minor_is_chosen() {
        let found = ["3.13.0", "3.13.1", "3.12.1", "3.11.9"].map(installed);
        let found = found.into_iter().chain(["3.13.18", "3.14.10"].map(rooted));
        let matrix = Matrix::of(&installed("3.11.7"), found);
        assert_eq!(versions(&matrix), ["3.11.9", "3.12.1", "3.13.18", "3.14.10"]);
        assert_eq!(matrix.absent, [15]);
    }

    #[test]
    fn the_same_patch_is_tested_once() {
        let found = [installed("3.14.10"), rooted("3.14.10")];
        let matrix = Matrix::of(&installed("3.14.10"), found);
        assert_eq!(versions(&matrix), [""; 0]);
    }

    #[test]
    fn the_newest_runs_more_than_those_between() {
        let default = installed("3.12.1");
        let found = ["3.11.7", "3.13.0", "3.14.10"].map(installed);
        let matrix = Matrix::of(&default, found);
        let extents = |thorough| -> Vec<_> {
            let others = matrix.others.iter();
            others.map(|other| matrix.extent(&default, other, thorough)).collect()
        };
        assert_eq!(extents(false), [Extent::Names, Extent::Names, Extent::Whole]);
        assert_eq!(extents(true), [Extent::Whole, Extent::Version, Extent::Whole]);
    }
}
