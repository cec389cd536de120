//! The crash points that the sources name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of all crash points below a folder of this crate.
pub(crate) fn named_in(folder: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
        let text = fs::read_to_string(&file).expect("a source");
        // The macro's own definition has no name behind the parenthesis.
        let named = text.split("crash_point!(\"").skip(1);
        names.extend(named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    names
}

/// Each crash point of the engine, in whatever folder, is named in some test.
pub(crate) fn assert_that_all_are_visited() {
    let tests = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let tests: String = tests.iter().map(|f| fs::read_to_string(f).expect("a test")).collect();
    for point in named_in("src") {
        assert!(tests.contains(&format!("\"{point}\"")), "no test visits the point {point:?}");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
