//! How many CPUs this process may really use.
//!
//! A container or a job scheduler limits a process in two ways: by the set of CPUs that it may run
//! on (its affinity, which includes cpusets), and by a quota of CPU time, set on its control group
//! or on any group above that. More workers than either allows only slow each other down.

mod affinity;
mod cgroup;

use std::path::Path;

/// The number of CPUs that this process may really use, at least 1.
///
/// It is the smaller of the number of CPUs that the calling thread may run on and the CPU quota,
/// rounded up, of the process' control group or of a group above it (cgroup v2 `cpu.max`, cgroup
/// v1 `cpu.cfs_quota_us`). It is read anew at every call, because both may change.
#[must_use]
pub fn cpu_count() -> usize {
    let allowed = affinity::allowed().unwrap_or(1);
    let quota = cgroup::quota(Path::new("/")).unwrap_or(usize::MAX);
    allowed.min(quota).max(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_one_at_least_and_no_more_than_the_machine_has() {
        let count = super::cpu_count();
        assert!(count >= 1);
        assert!(count <= super::affinity::allowed().unwrap());
    }
}
