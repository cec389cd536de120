//! Whom to wake when a job is over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use millpond_core::pool::task::JobId;

/// The tasks of async executors that wait for a pool's jobs.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<Table>);

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Whether there is a thread that wakes.
    pub(super) is_served: bool,
    pub(super) waiting: HashMap<JobId, Waker>,
}

impl Wakers {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // A panic of a waker leaves the table as it is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for the job any more; who did.
    pub(super) fn take(&self, job: JobId) -> Option<Waker> {
        self.table().waiting.remove(&job)
    }
}
