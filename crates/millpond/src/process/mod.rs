//! Processes, one at a time.

mod builder;
pub(crate) mod call;
mod child;
mod handle;
pub(crate) mod identity;
mod keeper;
mod mailbox;
mod registry;

pub use builder::{Given, Missing, Process, Ready};
pub use child::{Child, active_children};
pub use handle::ProcessHandle;
pub use identity::{CurrentProcess, ParentProcess, current_process, parent_process};

/// Notices which children have ended, and takes back what was on its way to them.
pub(crate) fn notice_ended() {
    registry::Registry::current().sweep();
}
