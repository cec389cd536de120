//! The programs that enter the root.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::place::{MINORS, Root};
use crate::error::{Error, Result};
use crate::project::Project;

const ENTER: &str = include_str!("enter.sh");

/// Writes the entry and a program for each interpreter, which are to be used at the place of
/// `root`, into a directory that may still be elsewhere.
pub(crate) fn write(project: &Project, root: &Root, directory: &Path) -> Result<()> {
    let folders: Vec<_> = project.folders().map(quoted).collect();
    let text = ENTER
        .replace("@ROOT@", &quoted(root.system()))
        .replace("@FOLDERS@", &folders.join(" "))
        .replace("@UNSHARE@", &quoted(tool("unshare")))
        .replace("@MOUNT@", &quoted(tool("mount")))
        .replace("@PIVOT_ROOT@", &quoted(tool("pivot_root")));
    write_program(&directory.join("enter"), &text)?;
    let programs = directory.join("bin");
    fs::create_dir_all(&programs).map_err(Error::file("make", &programs))?;
    let entry = quoted(root.entry());
    for minor in MINORS {
        let text = format!("#!/bin/sh\nexec {entry} /usr/bin/python3.{minor} \"$@\"\n");
        write_program(&programs.join(format!("python3.{minor}")), &text)?;
    }
    Ok(())
}

/// Leaves the program alone if it is as it should be: a shell may be reading it.
fn write_program(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|existing| existing == text) {
        return Ok(());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, text).map_err(Error::file("write", &new))?;
    fs::set_permissions(&new, Permissions::from_mode(0o755)).map_err(Error::file("write", &new))?;
    fs::rename(&new, path).map_err(Error::file("write", path))
}

/// Where a tool is; a command that enters the root may have another `PATH`.
fn tool(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|path| path.is_absolute() && path.is_file())
        .unwrap_or_else(|| name.into())
}

/// A path as one word of the shell.
fn quoted(path: impl AsRef<Path>) -> String {
    format!("'{}'", path.as_ref().to_string_lossy().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word() {
        assert_eq!(quoted("/a b/c"), "'/a b/c'");
        assert_eq!(quoted("/it's"), "'/it'\\''s'");
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let places = ["@ROOT@", "@FOLDERS@", "@UNSHARE@", "@MOUNT@", "@PIVOT_ROOT@"];
        let rest =
            places.iter().fold(ENTER.replace("$@", ""), |text, place| text.replace(place, ""));
        assert!(!rest.contains('@'));
        assert!(places.iter().all(|place| ENTER.contains(place)));
    }
}
