//! Counters of what a pool has done so far.

use std::collections::VecDeque;

use crate::os::exit_status::ExitStatus;

/// Ends of workers that are remembered.
const REMEMBERED: usize = 1024;

/// Counters of a pool since it was made.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Tasks (calls, or chunks of items) that were submitted.
    pub submitted: u64,
    /// Tasks that a worker finished, whatever the result.
    pub finished: u64,
    /// Tasks that were lost because their worker died.
    pub crashes: u64,
    /// Workers that were started.
    pub workers_started: u64,
    /// Workers whose place another one had to take.
    pub replacements: u64,
    /// Tasks that were taken back from a busy worker before they began, since another one was idle.
    pub moved: u64,
    /// Workers that were killed because their task took too long.
    pub timeouts: u64,
    /// Tasks that were tried again, once for each time.
    pub retries: u64,
    ends: VecDeque<(u64, ExitStatus)>,
}

impl Stats {
    pub(crate) fn remember_end(&mut self, worker: u64, status: ExitStatus) {
        if self.ends.len() == REMEMBERED {
            self.ends.pop_front();
        }
        self.ends.push_back((worker, status));
    }

    /// How the worker of this number ended, if it did and that is still remembered.
    #[must_use]
    pub(crate) fn end_of(&self, worker: u64) -> Option<ExitStatus> {
        self.ends.iter().rev().find(|(w, _)| *w == worker).map(|&(_, status)| status)
    }
}
