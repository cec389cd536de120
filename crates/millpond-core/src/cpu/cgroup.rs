//! The quota of CPU time that the control groups leave to this process.

use std::path::{Component, Path, PathBuf};
use std::{fs, iter};

/// The two generations of control groups, which a system may have at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
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

/// The smallest quota of the process' group and all groups above it that can be seen, in whole
/// CPUs, rounded up; `None` where there is no limit. `root` is `/` outside of tests.
pub(super) fn quota(root: &Path) -> Option<usize> {
    let memberships = parse_memberships(&fs::read_to_string(root.join("proc/self/cgroup")).ok()?);
    let mounts = parse_mounts(&fs::read_to_string(root.join("proc/self/mountinfo")).ok()?);
    let directories = memberships.iter().flat_map(|member| {
        let mounts = mounts.iter().filter(|mount| mount.version == member.version);
        mounts.flat_map(|mount| directories(member, mount).map(|path| (member.version, path)))
    });
    directories.filter_map(|(version, path)| limit(version, &beneath(root, &path))).min()
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

fn limit(version: Version, directory: &Path) -> Option<usize> {
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    match version {
        Version::V2 => {
            let text = read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            cpus(quota, period)
        }
        Version::V1 => cpus(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
    }
}

/// Whole CPUs of a quota; `max` (v2) and `-1` (v1) stand for no limit.
fn cpus(quota: &str, period: &str) -> Option<usize> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok().filter(|&period| period > 0)?;
    usize::try_from(quota.div_ceil(period)).ok()
}

/// Lines of `id:controllers:group`; the unified hierarchy (v2) has id 0 and names no controllers.
fn parse_memberships(text: &str) -> Vec<Membership> {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let version = if id == "0" && controllers.is_empty() {
            Version::V2
        } else if controllers.split(',').any(|name| name == "cpu") {
            Version::V1
        } else {
            return None;
        };
        Some(Membership { version, group: PathBuf::from(group) })
    };
    text.lines().filter_map(parse).collect()
}

/// Lines of `id parent device root point options [tags…] - type source super-options`.
fn parse_mounts(text: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup2" => Version::V2,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "cpu") => Version::V1,
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
#[path = "cgroup_tests.rs"]
mod tests;
