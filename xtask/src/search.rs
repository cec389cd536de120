//! Finding the interpreters of a machine.

use std::collections::HashSet;
use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::interpreter::{Interpreter, Rejection, SUPPORTED, Version};
use crate::project::Project;
use crate::root::Root;

/// The interpreter to use where one is enough: the one that MILLPOND_PYTHON names, else the first
/// found.
pub(crate) fn default_interpreter(project: &Project) -> Result<Interpreter> {
    let mut rejections = Vec::new();
    for path in candidates(project) {
        match probe(project, &path) {
            Ok(found) => return Ok(found),
            // A caller that names an interpreter does not want another one.
            Err(rejection) if is_chosen(&path) => {
                return Err(Error::NoInterpreter { rejections: vec![rejection.to_string()] });
            }
            Err(rejection) => rejections.push(rejection.to_string()),
        }
    }
    Err(Error::NoInterpreter { rejections })
}

/// Every usable interpreter of this machine, the most likely first, then those of the root.
pub(crate) fn all_interpreters(project: &Project) -> Vec<Interpreter> {
    candidates(project).iter().flat_map(|path| probe(project, path)).collect()
}

fn probe(project: &Project, path: &Path) -> std::result::Result<Interpreter, Rejection> {
    let root = Root::of(project);
    let found = Interpreter::probe(path)?;
    Ok(if root.has(path) { found.within(root) } else { found })
}

fn chosen() -> Option<PathBuf> {
    env::var_os("MILLPOND_PYTHON").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn is_chosen(path: &Path) -> bool {
    chosen().as_deref() == Some(path)
}

/// Every file that may be an interpreter, the most likely first.
fn candidates(project: &Project) -> Vec<PathBuf> {
    let minors = SUPPORTED.iter().rev().map(|minor| format!("python3.{minor}"));
    let names: Vec<_> = ["python3".to_owned()].into_iter().chain(minors).collect();
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
        .chain(Root::of(project).programs())
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
