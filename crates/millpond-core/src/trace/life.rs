//! How long a worker process lived.

use crate::os::exit_status::ExitStatus;

/// One worker process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its place in the pool; a replacement has that of its predecessor.
    pub(crate) worker: u32,
    /// Its process id.
    pub(crate) pid: u32,
    /// When it was started, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) start_ns: u64,
    /// When it was found dead, on the same clock; `None` while it lives.
    pub(crate) end_ns: Option<u64>,
    /// How it ended, such as "killed by SIGKILL"; `None` while it lives.
    pub(crate) end: Option<String>,
}

impl Life {
    /// Whether the process ended, and not by exiting with code 0.
    pub(super) fn ended_badly(&self) -> bool {
        let well = ExitStatus::Exited(0).to_string();
        self.end.as_ref().is_some_and(|end| *end != well)
    }
}
