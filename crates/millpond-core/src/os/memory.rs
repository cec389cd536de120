//! How much memory the machine has, and how much of it is left to this process.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::cgroup::{Version, groups};

/// Refuses what the machine could never hold, whatever else it holds: its memory and swap are
/// smaller.
///
/// The kernel would grant it, since pages are found when they are touched, and then end whoever
/// touches them.
///
/// # Errors
/// `OutOfMemory`.
pub fn could_hold(length: u64) -> io::Result<()> {
    let info = rustix::system::sysinfo();
    let units = info.totalram.saturating_add(info.totalswap);
    let total = (units as u64).saturating_mul(info.mem_unit.into());
    if length <= total {
        return Ok(());
    }
    let message = format!(
        "{length} bytes of shared memory were asked for, but this machine has {total} in all, \
         swap included: ask for less"
    );
    Err(io::Error::new(io::ErrorKind::OutOfMemory, message))
}

/// The most bytes that may be taken before the system is asked again what is left, which takes 100
/// µs.
const MAX_UNASKED: u64 = 64 << 20;
/// And at most this fraction (1/32) of what is left, since other processes of the group take from
/// it too.
const SHARE_UNASKED: u64 = 32;

/// How many bytes may be taken before it is asked again.
static UNASKED: AtomicU64 = AtomicU64::new(0);

/// Refuses `length` bytes that are not left to this process: the kernel would grant them, and kill a
/// process when their pages are touched.
///
/// The answer is an estimate. It counts what the kernel could write to swap or drop from its cache of
/// files, and in groups with limits (cgroups of both versions, with those above) what each of
/// them allows.
///
/// # Errors
/// `OutOfMemory`, with what is the limit.
pub fn ensure_left(length: u64) -> io::Result<()> {
    let take = |unasked: u64| unasked.checked_sub(length);
    // Relaxed: the number says nothing of other memory.
    if UNASKED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        return Ok(());
    }
    let Some((left, limit)) = left(Path::new("/")) else {
        return Ok(());
    };
    if length > left {
        let limit = match limit {
            LimitedBy::Machine => "this machine has",
            LimitedBy::Group => "the memory limit of this process' control group leaves",
        };
        let message = format!(
            "{length} bytes of memory were asked for, but {limit} {left}: send less at a time, or \
             raise the limit"
        );
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
    }
    UNASKED.store(MAX_UNASKED.min((left - length) / SHARE_UNASKED), Ordering::Relaxed);
    Ok(())
}

/// What bounds the memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LimitedBy {
    Machine,
    Group,
}

/// How many bytes are left to this process, by the kernel's estimate; `None` without procfs.
fn left(root: &Path) -> Option<(u64, LimitedBy)> {
    let meminfo = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kilobytes = |name| Some(field(&meminfo, name)?.saturating_mul(1024));
    let swap = kilobytes("SwapFree:").unwrap_or(0);
    let machine = kilobytes("MemAvailable:")?.saturating_add(swap);
    let groups = groups(root, "memory");
    let groups = groups.iter().filter_map(|(version, path)| left_in(*version, path, swap));
    let all = groups.map(|left| (left, LimitedBy::Group));
    all.chain([(machine, LimitedBy::Machine)]).min()
}

/// How many bytes a group can have yet, if it has a limit. Pages of files can be dropped and others
/// swapped out, as far as the machine (which has `swap` bytes free) and the group allow.
fn left_in(version: Version, directory: &Path, swap: u64) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    // No number: "max".
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let difference = |most: &str, used: &str| Some(number(most)?.saturating_sub(number(used)?));
    let stat = read("memory.stat").unwrap_or_default();
    let files = |prefix: &str| {
        let of = |name| field(&stat, &format!("{prefix}{name}")).unwrap_or(0);
        of("inactive_file ").saturating_add(of("active_file "))
    };
    match version {
        Version::V2 => {
            let left = difference("memory.max", "memory.current")?.saturating_add(files(""));
            let swap =
                difference("memory.swap.max", "memory.swap.current").unwrap_or(swap).min(swap);
            Some(left.saturating_add(swap))
        }
        Version::V1 => {
            let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
            let files = files("total_");
            let left = difference(limit, used)?.saturating_add(files).saturating_add(swap);
            // Memory and swap together.
            let (limit, used) = ("memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes");
            let both = difference(limit, used).map_or(u64::MAX, |both| both.saturating_add(files));
            Some(left.min(both))
        }
    }
}

/// The first number behind the name that a line begins with.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::cgroup::testing::System;

    const MIB: u64 = 1 << 20;
    const V2: &str = "30 23 0:27 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
    const V1: &str = "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    fn system(name: &str, cgroup: &str, mounts: &str) -> System {
        let system = System::new(&format!("memory-{name}"), cgroup, mounts);
        system.file("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:  10240 kB\nSwapFree: 1024 kB\n");
        system
    }

    fn bytes(mebibytes: u64) -> String {
        format!("{}\n", mebibytes * MIB)
    }

    #[test]
    fn the_machine_is_the_limit_without_groups() {
        assert_eq!(left(Path::new("/nowhere/at/all")), None);
        for (cgroup, mounts) in [("", ""), ("0::/a\n", V2), ("4:memory:/a\n", V1)] {
            let system = system("machine", cgroup, mounts);
            assert_eq!(left(&system.0), Some((11 * MIB, LimitedBy::Machine)));
        }
    }

    #[test]
    fn the_tightest_group_wins() {
        let system = system("v2", "0::/a/b\n", V2);
        system.file("sys/fs/cgroup/a/b/memory.max", "max\n");
        system.file("sys/fs/cgroup/a/b/memory.current", &bytes(3));
        assert_eq!(left(&system.0), Some((11 * MIB, LimitedBy::Machine)));
        system.file("sys/fs/cgroup/a/memory.max", &bytes(7));
        system.file("sys/fs/cgroup/a/memory.current", &bytes(5));
        system.file("sys/fs/cgroup/a/memory.swap.max", "0\n");
        system.file("sys/fs/cgroup/a/memory.swap.current", "0\n");
        assert_eq!(left(&system.0), Some((2 * MIB, LimitedBy::Group)));
        let stat = format!("anon 5\ninactive_file {}\nactive_file {}\n", MIB, 2 * MIB);
        system.file("sys/fs/cgroup/a/memory.stat", &stat);
        assert_eq!(left(&system.0), Some((5 * MIB, LimitedBy::Group)));
        system.file("sys/fs/cgroup/a/memory.swap.max", "max\n");
        assert_eq!(left(&system.0), Some((6 * MIB, LimitedBy::Group)));
        system.file("sys/fs/cgroup/a/b/memory.max", &bytes(1));
        assert_eq!(left(&system.0), Some((MIB, LimitedBy::Group)), "it has more than it may");
    }

    #[test]
    fn groups_of_version_one() {
        let system = system("v1", "5:cpu:/x\n4:memory:/a/b\n0::/\n", &format!("{V1}{V2}"));
        let file = |path: &str, content: &str| {
            system.file(&format!("sys/fs/cgroup/memory/{path}"), content);
        };
        file("memory.limit_in_bytes", "9223372036854771712\n");
        file("memory.usage_in_bytes", &bytes(900));
        file("a/memory.limit_in_bytes", &bytes(6));
        file("a/memory.usage_in_bytes", &bytes(4));
        file("a/memory.stat", &format!("inactive_file 7\ntotal_inactive_file {MIB}\n"));
        assert_eq!(left(&system.0), Some((4 * MIB, LimitedBy::Group)));
        file("a/memory.memsw.limit_in_bytes", &bytes(6));
        file("a/memory.memsw.usage_in_bytes", &bytes(4));
        assert_eq!(left(&system.0), Some((3 * MIB, LimitedBy::Group)));
    }

    #[test]
    fn little_is_granted_and_too_much_refused() {
        ensure_left(1).expect("there is that much");
        let error = ensure_left(1 << 60).expect_err("more than there is");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
