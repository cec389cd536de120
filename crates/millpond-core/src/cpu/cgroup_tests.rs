//! Made-up systems with quotas.

use super::*;
use crate::os::cgroup::testing::System;

impl System {
    fn quota(&self) -> Option<usize> {
        quota(&self.0)
    }
}

const V2: &str = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

#[test]
fn no_control_groups_no_limit() {
    assert_eq!(quota(Path::new("/nowhere/at/all")), None);
    assert_eq!(System::new("empty", "", "").quota(), None);
    assert_eq!(System::new("unlimited", "0::/\n", V2).quota(), None);
}

#[test]
fn own_group_rounded_up() {
    let system = System::new("own", "0::/user.slice/job\n", V2);
    let file = "sys/fs/cgroup/user.slice/job/cpu.max";
    for (content, expected) in [
        ("150000 100000\n", Some(2)),
        ("200000 100000\n", Some(2)),
        ("1000 100000\n", Some(1)),
        ("max 100000\n", None),
        ("100000 0\n", None),
        ("nonsense\n", None),
    ] {
        system.file(file, content);
        assert_eq!(system.quota(), expected, "{content:?}");
    }
}

#[test]
fn the_tightest_ancestor_wins() {
    let system = System::new("ancestors", "0::/a/b/c\n", V2);
    system.file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    system.file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    system.file("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    system.file("sys/fs/cgroup/a/other/cpu.max", "100000 100000\n");
    assert_eq!(system.quota(), Some(3));
}

#[test]
fn the_top_of_a_namespace_counts() {
    // In a container with its own cgroup namespace the limit stands on what looks like the root.
    let system = System::new("namespace", "0::/\n", V2);
    system.file("sys/fs/cgroup/cpu.max", "250000 100000\n");
    assert_eq!(system.quota(), Some(3));
}

#[test]
fn a_container_without_a_namespace_sees_its_group_at_the_mount_point() {
    let mount = "30 23 0:27 /docker/4f2 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
    let system = System::new("bind", "0::/docker/4f2/inner\n", mount);
    system.file("sys/fs/cgroup/cpu.max", "400000 100000\n");
    system.file("sys/fs/cgroup/inner/cpu.max", "500000 100000\n");
    assert_eq!(system.quota(), Some(4));
}

#[test]
fn a_group_outside_of_the_namespace_is_not_guessed_at() {
    let system = System::new("outside", "0::/../other\n", V2);
    system.file("sys/fs/cgroup/cpu.max", "100000 100000\n");
    system.file("sys/fs/other/cpu.max", "100000 100000\n");
    assert_eq!(system.quota(), None);
}

#[test]
fn version_one() {
    let cgroup = "5:memory:/tight\n4:cpu,cpuacct:/a/b\n3:cpuset:/\n";
    let system = System::new("v1", cgroup, V1);
    let directory = "sys/fs/cgroup/cpu,cpuacct/a";
    system.file(&format!("{directory}/b/cpu.cfs_quota_us"), "-1\n");
    system.file(&format!("{directory}/b/cpu.cfs_period_us"), "100000\n");
    assert_eq!(system.quota(), None);
    system.file(&format!("{directory}/cpu.cfs_quota_us"), "50000\n");
    system.file(&format!("{directory}/cpu.cfs_period_us"), "20000\n");
    assert_eq!(system.quota(), Some(3));
}

#[test]
fn both_versions_at_once() {
    let system = System::new("hybrid", "4:cpu,cpuacct:/a\n0::/b\n", &format!("{V1}{V2}"));
    system.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "600000\n");
    system.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_eq!(system.quota(), Some(6));
    system.file("sys/fs/cgroup/b/cpu.max", "500000 100000\n");
    assert_eq!(system.quota(), Some(5));
}

#[test]
fn mount_points_with_blanks_and_colons() {
    let mount = "30 23 0:27 / /sys/odd\\040place rw - cgroup2 cgroup2 rw\n";
    let system = System::new("odd", "0::/a:b\n", mount);
    system.file("sys/odd place/a:b/cpu.max", "700000 100000\n");
    assert_eq!(system.quota(), Some(7));
}
