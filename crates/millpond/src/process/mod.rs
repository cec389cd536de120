//! Processes, one at a time.

mod builder;
pub(crate) mod call;
mod child;
mod handle;
pub(crate) mod identity;
mod launch;
mod reaper;
mod registry;
mod result_slot;

use millpond_core::channel::queue::Queue;

pub use builder::{Builder, spawn};
pub use child::Child;
pub use handle::JoinHandle;
pub use identity::{CurrentProcess, ParentProcess, current_process, parent_process};
pub use registry::active_children;

/// Channels that this process has sent handles through which were not yet read; see
/// [`queue::unread`](crate::queue::unread). What `use_it` does takes no time.
pub(crate) fn with_unread<R>(use_it: impl FnOnce(&mut Vec<Queue>) -> R) -> R {
    registry::Registry::current().with_unread(use_it)
}

/// Notices which children have ended, and takes back what was on its way to them.
pub(crate) fn notice_ended() {
    registry::Registry::current().sweep();
}
