//! The files to analyse.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the standard library of `python3` is.
///
/// # Errors
/// When there is no `python3`, or it does not say.
pub(crate) fn standard_library() -> io::Result<PathBuf> {
    let script = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let output = Command::new("python3").args(["-I", "-c", script]).output()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !path.is_empty() {
        Ok(path.into())
    } else {
        Err(io::Error::other("python3 does not say where its standard library is"))
    }
}

/// The Python files below a directory in the order of their paths, without those of installed
/// packages.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn python_files(directory: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() && !is_foreign(&path) {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "py") && path.is_file() {
                files.extend(path.into_os_string().into_string());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_foreign(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    ["site-packages", "dist-packages"].iter().any(|foreign| name == *foreign)
}
