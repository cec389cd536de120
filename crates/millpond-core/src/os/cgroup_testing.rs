//! Made-up systems: what their `/proc` and `/sys` would say.

use std::fs;
use std::path::PathBuf;

/// A directory that stands for `/`, removed at the end.
pub(crate) struct System(pub(crate) PathBuf);

impl System {
    pub(crate) fn new(name: &str, cgroup: &str, mountinfo: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("millpond-groups-{}-{name}", std::process::id()));
        let system = Self(root);
        system.file("proc/self/cgroup", cgroup);
        system.file("proc/self/mountinfo", mountinfo);
        system
    }

    pub(crate) fn file(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
