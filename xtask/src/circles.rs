//! Files of a crate that use each other in a circle: none of them can be read, tested or put into a
//! model without the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::project::Project;
use crate::uses::{Uses, uses};

/// Where the sources of the crates lie that are looked at.
const SOURCES: [&str; 4] =
    ["crates/millpond-core/src", "crates/millpond/src", "crates/millpond-py/src", "xtask/src"];

/// A circle that is left.
struct Exception {
    source: &'static str,
    files: &'static [&'static str],
    reason: &'static str,
}

/// The circles that are left. This list may only become shorter.
const EXCEPTIONS: &[Exception] = &[];

/// Whether there are no circles but the exceptions, and all of those; says what is wrong.
pub(crate) fn check(project: &Project) -> Result<bool> {
    let mut is_well = true;
    for source in SOURCES {
        let exceptions = EXCEPTIONS.iter().filter(|exception| exception.source == source);
        for complaint in complaints(&uses(&project.path(source))?, exceptions) {
            eprintln!("{source}: {complaint}");
            is_well = false;
        }
    }
    Ok(is_well)
}

/// What is wrong with a crate whose files use each other like this.
fn complaints<'a>(uses: &Uses, exceptions: impl IntoIterator<Item = &'a Exception>) -> Vec<String> {
    let mut circles = circles(uses);
    let mut complaints = Vec::new();
    for Exception { files, reason, .. } in exceptions {
        let place = circles.iter().position(|circle| circle.iter().eq(files.iter()));
        match place {
            Some(place) => drop(circles.remove(place)),
            None => complaints.push(format!(
                "{} are no circle any more ({reason}): take the exception out of \
                 xtask/src/circles.rs, or leave what is left of it",
                files.join(", ")
            )),
        }
    }
    complaints.extend(circles.iter().map(|circle| describe(circle, uses)));
    complaints
}

/// The sets of files of which each uses each other, directly or by others.
fn circles(uses: &Uses) -> Vec<BTreeSet<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (file.as_str(), reached(file, uses))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(*file)) {
        let returns = |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(file));
        circles.insert(others.iter().filter(returns).copied().collect::<BTreeSet<&str>>());
    }
    circles.into_iter().collect()
}

/// What a file uses, directly or by others.
fn reached<'a>(file: &'a str, uses: &'a Uses) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
    while let Some(file) = next.pop() {
        let used = uses.get(file).into_iter().flat_map(BTreeMap::keys);
        next.extend(used.map(String::as_str).filter(|used| reached.insert(*used)));
    }
    reached
}

fn describe(circle: &BTreeSet<&str>, uses: &Uses) -> String {
    let mut text = format!("{} files use each other in a circle:", circle.len());
    for &file in circle {
        let used = uses[file].iter().filter(|(used, _)| circle.contains(used.as_str()));
        for (used, name) in used {
            text += &format!("\n  {file} uses {used} ({name})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A made-up crate, removed when dropped.
    struct Made(PathBuf);

    impl Made {
        fn of(name: &str, files: &[(&str, &str)]) -> Self {
            let directory =
                std::env::temp_dir().join(format!("xtask-circles-{name}-{}", std::process::id()));
            for (file, text) in files {
                let path = directory.join(file);
                fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            Self(directory)
        }

        fn complaints(&self, exceptions: &[Exception]) -> Vec<String> {
            complaints(&uses(&self.0).expect("Rust"), exceptions)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const AN_EXCEPTION: Exception =
        Exception { source: "", files: &["a.rs", "b.rs"], reason: "for a test" };

    fn circle(name: &str) -> Made {
        Made::of(
            name,
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use crate::b::B; pub struct A(B);"),
                ("b.rs", "pub struct B; fn of() { super::a::A(B); }"),
                ("c.rs", "use crate::a::A;"),
            ],
        )
    }

    #[test]
    fn a_circle_is_told_by_name() {
        assert_eq!(
            circle("told").complaints(&[]),
            ["2 files use each other in a circle:\n  \
              a.rs uses b.rs (crate::b::B)\n  b.rs uses a.rs (super::a::A)"]
        );
    }

    #[test]
    fn an_exception_is_for_just_the_circle_that_it_names() {
        assert!(circle("excepted").complaints(&[AN_EXCEPTION]).is_empty());
        let gone = Made::of("gone", &[("main.rs", "mod a;"), ("a.rs", "")]);
        let complaints = gone.complaints(&[AN_EXCEPTION]);
        assert!(complaints[0].starts_with("a.rs, b.rs are no circle any more"), "{complaints:?}");
    }

    #[test]
    fn names_are_followed_to_where_they_are_defined() {
        let made = Made::of(
            "followed",
            &[
                ("lib.rs", "mod folder; pub use folder::B as Other;"),
                ("folder/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
                (
                    "folder/a.rs",
                    "use std::fmt::{self, Debug}; use crate::Other as C; pub struct A;",
                ),
                ("folder/b.rs", "pub enum B { One } fn f() { assert!(super::A::is(1), 2) }"),
            ],
        );
        let complaints = made.complaints(&[]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("folder/a.rs uses folder/b.rs (crate::Other)"));
        assert!(complaints[0].contains("folder/b.rs uses folder/a.rs (super::A::is)"));
    }

    #[test]
    fn modules_re_exports_tests_and_visibility_are_no_use() {
        let made = Made::of(
            "no-use",
            &[
                ("lib.rs", "mod a; pub use a::A; pub struct Root;"),
                (
                    "a.rs",
                    "mod b { pub(in crate::a) struct B; } use crate::Root; pub struct A(b::B); \
                     #[cfg(test)] use crate::A as T; #[cfg(test)] mod tests { use crate::A; }",
                ),
            ],
        );
        assert!(made.complaints(&[]).is_empty());
    }
}
