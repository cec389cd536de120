//! What a process of this program is there for.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// The environment variable that tells a child its role.
pub(crate) const VARIABLE: &str = "MILLPOND_CHILD";

/// The exit code of a child that could not take its role: `EX_SOFTWARE` of `sysexits.h`.
pub(crate) const NOT_RUN: i32 = 70;

/// What a child does in place of the rest of `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// One call of one function.
    Process {
        /// Where the call is written, and its result is to be.
        result_slot: RawFd,
        /// The parent, as a pidfd.
        parent: RawFd,
    },
    /// Forks the workers of a pool.
    Zygote {
        /// Where the pool's requests come from.
        socket: RawFd,
        /// The memory that the pool's processes share.
        control_block: RawFd,
        /// Wakes the pool's supervisor.
        watcher: RawFd,
        /// Tells that the owner is over.
        lifeline: RawFd,
        /// What the workers are to be told.
        bootstrap: RawFd,
        /// The pool's owner, as a pidfd.
        owner: RawFd,
    },
}

impl Role {
    /// As the value of the variable.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::Process { result_slot, parent } => format!("process:{result_slot}:{parent}"),
            Self::Zygote { socket, control_block, watcher, lifeline, bootstrap, owner } => {
                format!("zygote:{socket}:{control_block}:{watcher}:{lifeline}:{bootstrap}:{owner}")
            }
        }
    }

    /// Of the value of the variable; `None` for one that [`to_text`](Self::to_text) did not make.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(':');
        let role = fields.next()?;
        let mut descriptor =
            || fields.next()?.parse::<RawFd>().ok().filter(|&descriptor| descriptor >= 0);
        let role = match role {
            "process" => Self::Process { result_slot: descriptor()?, parent: descriptor()? },
            "zygote" => Self::Zygote {
                socket: descriptor()?,
                control_block: descriptor()?,
                watcher: descriptor()?,
                lifeline: descriptor()?,
                bootstrap: descriptor()?,
                owner: descriptor()?,
            },
            _ => return None,
        };
        fields.next().is_none().then_some(role)
    }
}

/// Takes a descriptor that the parent has left open for this process, and keeps it from the
/// programs that this one starts.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is looked at, and taken after that only if it is open. The parent has told this
    // number to this code alone, so nobody else takes it for his.
    unsafe {
        rustix::io::fcntl_setfd(BorrowedFd::borrow_raw(fd), FdFlags::CLOEXEC)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Leaves the terminal's input to the main process: several readers would take bits each.
pub(crate) fn leave_stdin() {
    // Without a /dev/null, as in a bare chroot, it stays.
    if let Ok(null) = File::open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn reads_what_it_writes() {
        for role in [
            Role::Process { result_slot: 5, parent: 6 },
            Role::Zygote {
                socket: 5,
                control_block: 6,
                watcher: 7,
                lifeline: 8,
                bootstrap: 9,
                owner: 10,
            },
        ] {
            assert_eq!(Role::parse(&role.to_text()), Some(role));
        }
    }

    #[test]
    fn takes_nothing_else() {
        for text in [
            "",
            "1",
            "process",
            "process:5",
            "process:5:-1",
            "process:5:6:7",
            "zygote:5:6:7:8:9",
            "zygote:5:6:7:8:9:10:11",
            "other:5:6",
        ] {
            assert_eq!(Role::parse(text), None, "{text:?}");
        }
    }
}
