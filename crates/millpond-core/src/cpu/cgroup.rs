//! The quota of CPU time that the control groups leave to this process.

use std::fs;
use std::path::Path;

use crate::os::cgroup::{Version, groups};

/// The smallest quota of the process' group and all groups above it that can be seen, in whole
/// CPUs, rounded up; `None` where there is no limit. `root` is `/` outside of tests.
pub(super) fn quota(root: &Path) -> Option<usize> {
    let groups = groups(root, "cpu");
    groups.iter().filter_map(|(version, path)| limit(*version, path)).min()
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

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
