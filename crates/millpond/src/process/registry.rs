//! The children of this process.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, ptr};

use millpond_core::channel::queue::Queue;
use millpond_core::os::fork::Owner;

use super::child::Child;
use super::identity::Identity;
use super::reaper::Reaper;

/// What this process knows of its children.
///
/// A `fork` inherits the memory but not the children, and perhaps a lock that no thread will unlock.
/// So each process has its own registry: a fork finds that it has its parent's, leaves that alone
/// (it is leaked) and makes a new one.
#[derive(Debug)]
pub(super) struct Registry {
    owner: Owner,
    started: AtomicU64,
    /// Those that were started and have not been reaped.
    children: Mutex<Vec<Child>>,
    reaper: OnceLock<Reaper>,
    unread: Mutex<Vec<Queue>>,
}

static CURRENT: AtomicPtr<Registry> = AtomicPtr::new(ptr::null_mut());

impl Registry {
    /// That of the process that calls.
    pub(super) fn current() -> &'static Self {
        let mut found = CURRENT.load(Ordering::Acquire);
        loop {
            // SAFETY: what is stored here is never freed, and Acquire makes its content visible.
            if let Some(registry) = unsafe { found.as_ref() }
                && registry.owner.is_current()
            {
                return registry;
            }
            let new = Box::into_raw(Box::new(Self {
                owner: Owner::current(),
                started: AtomicU64::new(0),
                children: Mutex::new(Vec::new()),
                reaper: OnceLock::new(),
                unread: Mutex::new(Vec::new()),
            }));
            // Release publishes the content of the box.
            match CURRENT.compare_exchange(found, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => found = new,
                Err(other) => {
                    found = other;
                    // SAFETY: it comes from `Box::into_raw` just now, and was not published.
                    drop(unsafe { Box::from_raw(new) });
                }
            }
        }
    }

    /// The place in the tree of the next child.
    pub(super) fn next_lineage(&self) -> Vec<u64> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        [Identity::lineage_here(), &[number]].concat()
    }

    pub(super) fn add(&self, child: Child) {
        self.children().push(child);
    }

    /// Forgets a child that has been reaped.
    pub(super) fn forget(child: &Child) {
        Self::current().children().retain(|other| !other.is(child));
    }

    /// Sees to it that a child is reaped although it may not be asked for any more.
    pub(super) fn abandon(child: &Child) {
        if child.is_own()
            && child.is_alive()
            && let Ok(reaper) = Self::current().reaper()
        {
            reaper.reap(child.clone());
        }
        // Without a reaper it is reaped when the next child is started, or at the next look.
    }

    /// Reaps those that have ended; gives the others.
    pub(super) fn sweep(&self) -> Vec<Child> {
        // Reaping removes from the list, so it must not happen under the list's lock.
        let all = self.children().clone();
        all.into_iter().filter(Child::is_alive).collect()
    }

    /// The thread that watches what no other thread does.
    pub(super) fn reaper(&self) -> io::Result<&Reaper> {
        if let Some(reaper) = self.reaper.get() {
            return Ok(reaper);
        }
        // Of two made at once one is dropped, and its thread ends.
        let reaper = Reaper::start()?;
        Ok(self.reaper.get_or_init(|| reaper))
    }

    /// The channels that this process has sent handles through.
    pub(super) fn with_unread<R>(&self, use_it: impl FnOnce(&mut Vec<Queue>) -> R) -> R {
        use_it(&mut self.unread.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn children(&self) -> MutexGuard<'_, Vec<Child>> {
        // A panic cannot leave a list of children half-changed.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The children of this process that still run, in the order in which they were started.
///
/// As a side effect it reaps those that have ended.
///
/// ```
/// use millpond::{Builder, active_children};
///
/// fn wait() {
///     std::thread::sleep(std::time::Duration::from_secs(60));
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let child = Builder::new().name("patient").spawn(wait, ())?;
///     assert_eq!(active_children()[0].name(), "patient");
///     child.kill()?;
///     assert!(child.join().is_err());
///     assert!(active_children().is_empty());
///     Ok(())
/// }
/// ```
#[must_use]
pub fn active_children() -> Vec<Child> {
    Registry::current().sweep()
}
