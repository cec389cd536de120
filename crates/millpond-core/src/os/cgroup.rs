//! The control groups that this process is in.

use std::path::{Component, Path, PathBuf};
use std::{fs, iter};

/// The two generations of control groups, which a system may have at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The group of this process in one hierarchy, from `/proc/self/cgroup`.
#[derive(Debug, PartialEq, Eq)]
struct Membership {
    version: Version,
    /// From the root of the hierarchy, or of this process' cgroup namespace.
    group: PathBuf,
}

/// A mounted hierarchy, from `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The group that the mount shows as its top.
    root: PathBuf,
    point: PathBuf,
}

/// The directories of the process' group in the hierarchy of a controller and of all groups above it
/// that can be seen, the process' own first. `root` is `/` outside of tests.
pub(crate) fn groups(root: &Path, controller: &str) -> Vec<(Version, PathBuf)> {
    let read = |path| fs::read_to_string(root.join(path)).unwrap_or_default();
    let memberships = parse_memberships(&read("proc/self/cgroup"), controller);
    let mounts = parse_mounts(&read("proc/self/mountinfo"), controller);
    let groups = memberships.iter().flat_map(|member| {
        let mounts = mounts.iter().filter(|mount| mount.version == member.version);
        mounts.flat_map(|mount| directories(member, mount).map(|path| (member.version, path)))
    });
    groups.map(|(version, path)| (version, beneath(root, &path))).collect()
}

/// The directories of a group and of the groups above it, as far as the mount shows them.
fn directories(member: &Membership, mount: &Mount) -> impl Iterator<Item = PathBuf> {
    // A group outside of the namespace or of the mount (`/../other`) has no directory here.
    let inside = member.group.strip_prefix(&mount.root).ok();
    let inside = inside.filter(|path| path.components().all(|part| part != Component::ParentDir));
    let mut next = inside.map(Path::to_path_buf);
    let point = mount.point.clone();
    iter::from_fn(move || {
        let group = next.take()?;
        next = group.parent().map(Path::to_path_buf);
        Some(point.join(group))
    })
}

/// Lines of `id:controllers:group`; the unified hierarchy (v2) has id 0 and names no controllers.
fn parse_memberships(text: &str, controller: &str) -> Vec<Membership> {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let version = if id == "0" && controllers.is_empty() {
            Version::V2
        } else if controllers.split(',').any(|name| name == controller) {
            Version::V1
        } else {
            return None;
        };
        Some(Membership { version, group: PathBuf::from(group) })
    };
    text.lines().filter_map(parse).collect()
}

/// Lines of `id parent device root point options [tags…] - type source super-options`.
fn parse_mounts(text: &str, controller: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup2" => Version::V2,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == controller) => Version::V1,
            _ => return None,
        };
        Some(Mount { version, root: unescape(root), point: unescape(point) })
    };
    text.lines().filter_map(parse).collect()
}

/// Undoes the octal escapes (`\040` for a blank) that the kernel writes into `mountinfo`.
fn unescape(text: &str) -> PathBuf {
    let mut path = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        path.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|code| u8::from_str_radix(code, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => path.push(char::from(code)),
            None => path.push_str(rest.get(at..at + 4).unwrap_or_default()),
        }
        rest = rest.get(at + 4..).unwrap_or_default();
    }
    path.push_str(rest);
    PathBuf::from(path)
}

/// An absolute path of the system, below the root that is looked at.
fn beneath(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
#[path = "cgroup_testing.rs"]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape("/plain"), Path::new("/plain"));
        assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape("/odd\\9"), Path::new("/odd"));
    }
}
