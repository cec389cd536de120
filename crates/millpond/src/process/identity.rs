//! This process' name and place among its ancestors, and the process that started it.

use std::sync::OnceLock;

use millpond_core::os::fork;
use millpond_core::os::pidfd::PidFd;

/// What a child was told about itself; empty in the main process.
static TOLD: OnceLock<Identity> = OnceLock::new();

/// A child's place in the tree.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) lineage: Vec<u64>,
    pub(crate) daemon: bool,
    pub(crate) parent: Parent,
}

/// The process that started a child.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) pidfd: PidFd,
}

impl Identity {
    /// Makes it this process' own, once.
    pub(crate) fn assume(self) {
        let _ = TOLD.set(self);
    }

    pub(crate) fn name_here() -> &'static str {
        TOLD.get().map_or("MainProcess", |identity| &identity.name)
    }

    pub(crate) fn lineage_here() -> &'static [u64] {
        TOLD.get().map_or(&[], |identity| &identity.lineage)
    }
}

/// The process that calls. See [`current_process`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentProcess {
    name: &'static str,
    pid: u32,
    daemon: bool,
}

impl CurrentProcess {
    /// Its name: `MainProcess`, or the one that it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it ends with its parent.
    #[must_use]
    #[doc(alias = "daemon")]
    pub fn ends_with_parent(&self) -> bool {
        self.daemon
    }
}

/// The process that started this one. See [`parent_process`].
#[derive(Clone, Debug)]
pub struct ParentProcess(&'static Parent);

impl ParentProcess {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its pid. When it has ended, another process may have this number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.pidfd.is_alive().unwrap_or(false)
    }
}

/// The process that calls: its name, pid and daemon flag.
///
/// ```
/// fn who() -> (String, u32) {
///     let me = millpond::current_process();
///     (me.name().to_owned(), me.pid())
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     assert_eq!(millpond::current_process().name(), "MainProcess");
///     let child = millpond::Builder::new().name("worker").spawn(who, ())?;
///     let pid = child.pid();
///     assert_eq!(child.join()?, ("worker".to_owned(), pid));
///     Ok(())
/// }
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    CurrentProcess {
        name: Identity::name_here(),
        pid: fork::pid(),
        daemon: TOLD.get().is_some_and(|identity| identity.daemon),
    }
}

/// The process that started this one; `None` in the main process.
///
/// ```
/// fn parent() -> Option<u32> {
///     millpond::parent_process().filter(|parent| parent.is_alive()).map(|parent| parent.pid())
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     assert!(millpond::parent_process().is_none());
///     assert_eq!(millpond::spawn(parent, ())?.join()?, Some(std::process::id()));
///     Ok(())
/// }
/// ```
#[must_use]
pub fn parent_process() -> Option<ParentProcess> {
    TOLD.get().map(|identity| ParentProcess(&identity.parent))
}
