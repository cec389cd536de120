//! The start of a child.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use millpond_core::os::exec::{Exec, Started};
use millpond_core::os::pidfd::PidFd;

use super::result_slot::{Call, ResultSlot};
use crate::role::{self, Role};

/// A call that is written down, ready for a child to be started.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) result_slot: ResultSlot,
    /// This process, for the child to watch.
    parent: PidFd,
    daemon: bool,
}

impl Launch {
    pub(super) fn new(call: &Call, arguments: &[u8]) -> io::Result<Self> {
        let result_slot = ResultSlot::new(call, arguments)?;
        Ok(Self { result_slot, parent: PidFd::current()?, daemon: call.daemon })
    }

    /// Starts the child. It ends with the thread that calls this, if it is a daemon.
    pub(super) fn start(&self) -> io::Result<Started> {
        let (result_slot, parent) = (self.result_slot.as_fd(), self.parent.as_fd());
        let role =
            Role::Process { result_slot: result_slot.as_raw_fd(), parent: parent.as_raw_fd() };
        let exec = Exec::this_program()
            .variable(role::VARIABLE, &role.to_text())
            .inherit(result_slot)
            .inherit(parent);
        if self.daemon { exec.death_signal(libc::SIGKILL).start() } else { exec.start() }
    }
}
