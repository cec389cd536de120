//! Shared memory that a test counts.

use std::fs;

use millpond::sync::SharedSlice;

/// How many shared memories this process has open, those of pools aside.
pub(crate) fn memories() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    let shared = ["/memfd:millpond ", "/memfd:millpond-queue "];
    names.filter(|name| shared.iter().any(|shared| name.starts_with(shared))).count()
}

/// Memory that is too large to share its region with others. Making one frees those that have
/// arrived.
pub(crate) fn large() -> SharedSlice<u64> {
    SharedSlice::zeroed(100_000).unwrap()
}
