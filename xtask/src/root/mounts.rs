//! Removing a directory into which something might still be mounted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const TABLE: &str = "/proc/self/mountinfo";

/// Removes a directory that may hold a root; refuses while anything is mounted in it, since that
/// would be emptied too.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let directory = directory.canonicalize().map_err(Error::file("find", directory))?;
    let table = fs::read_to_string(TABLE).map_err(Error::file("read", TABLE))?;
    if let Some(point) = mounted_in(&directory, &table) {
        return Err(Error::Mounted { point });
    }
    fs::remove_dir_all(&directory).map_err(Error::file("remove", directory))
}

/// The first mount point at or below a directory, of a table as in /proc/self/mountinfo.
fn mounted_in(directory: &Path, table: &str) -> Option<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    points.map(PathBuf::from).find(|point| point.starts_with(directory))
}

/// Spaces, tabs, line ends and backslashes are written as three octal digits.
fn unescaped(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw - ext4 /dev/vda rw
30 22 0:5 / /work/my\\040target/root/dev rw shared:2 - devtmpfs udev rw
31 22 0:6 / /work/targets rw - tmpfs tmpfs rw
";

    #[test]
    fn what_is_mounted_below_is_found() {
        let found = mounted_in(Path::new("/work/my target"), MOUNTS);
        assert_eq!(found.as_deref(), Some(Path::new("/work/my target/root/dev")));
    }

    #[test]
    fn what_is_mounted_beside_or_above_is_not() {
        assert_eq!(mounted_in(Path::new("/work/target"), MOUNTS), None);
        assert_eq!(mounted_in(Path::new("/work/targets/root"), MOUNTS), None);
    }
}
