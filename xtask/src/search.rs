//! Finding the interpreters of a machine.

use std::collections::HashSet;
use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::interpreter::{Interpreter, SUPPORTED, Version};

/// The interpreter to use where one is enough: the one that MILLPOND_PYTHON names, else the first
/// found of a supported version, else the first of a newer one.
pub(crate) fn default_interpreter() -> Result<Interpreter> {
    let mut rejections = Vec::new();
    let mut newer = None;
    for path in candidates() {
        match Interpreter::probe(&path) {
            Ok(found) if found.version.is_supported() || is_chosen(&path) => return Ok(found),
            Ok(found) => newer = newer.or(Some(found)),
            // Somebody who names an interpreter does not want another one.
            Err(rejection) if is_chosen(&path) => {
                return Err(Error::NoInterpreter { rejections: vec![rejection] });
            }
            Err(rejection) => rejections.push(rejection),
        }
    }
    newer.ok_or(Error::NoInterpreter { rejections })
}

/// For each supported minor version but that of `default`, the first interpreter found.
pub(crate) fn other_interpreters(default: &Interpreter) -> Vec<(u32, Option<Interpreter>)> {
    let minors = SUPPORTED.into_iter().filter(|&minor| minor != default.version.minor);
    let mut others: Vec<_> = minors.map(|minor| (minor, None)).collect();
    for found in candidates().iter().flat_map(|path| Interpreter::probe(path)) {
        for (minor, slot) in &mut others {
            if found.version.minor == *minor && slot.is_none() {
                *slot = Some(found.clone());
            }
        }
        if others.iter().all(|(_, slot)| slot.is_some()) {
            break;
        }
    }
    others
}

fn chosen() -> Option<PathBuf> {
    env::var_os("MILLPOND_PYTHON").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn is_chosen(path: &Path) -> bool {
    chosen().as_deref() == Some(path)
}

/// Every file that may be an interpreter, the most likely first.
fn candidates() -> Vec<PathBuf> {
    let names = ["python3", "python3.13", "python3.12", "python3.11"];
    let directories: Vec<_> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let on_path = names
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .filter(|path| path.is_file());
    // Several directories may be one, as /bin and /usr/bin are.
    let mut seen = HashSet::new();
    chosen()
        .into_iter()
        .chain(on_path.chain(pyenv_interpreters()).filter(move |path| seen.insert(real(path))))
        .collect()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The interpreters that pyenv has installed, the newest first.
fn pyenv_interpreters() -> Vec<PathBuf> {
    let root = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".pyenv")));
    let entries = root.and_then(|root| root.join("versions").read_dir().ok());
    let mut found: Vec<(Version, PathBuf)> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = Version::parse(entry.file_name().to_str()?)?;
            Some((version, entry.path().join("bin/python3")))
        })
        .filter(|(version, path)| version.is_supported() && path.is_file())
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, path)| path).collect()
}
