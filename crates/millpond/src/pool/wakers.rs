//! Wakes the tasks of async executors whose jobs are over.
//!
//! One thread a pool serves all of its jobs that are polled; it begins with the first of them and
//! ends with the pool. It waits as other threads do, so it drives the pool meanwhile. No executor is
//! assumed: all that is used of one is its `Waker`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;

use millpond_core::os::signals;
use millpond_core::pool::Waited;
use millpond_core::pool::task::JobId;

use super::shared::Shared;
use crate::error::{Cause, Error, Result};

#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Whether there is a thread that wakes.
    is_served: bool,
    waiting: HashMap<JobId, Waker>,
}

impl Wakers {
    /// Has a task woken when a job is over, which may be so by now. A later call for the same job
    /// takes the place of this one.
    pub(super) fn wake_when_over(shared: &Arc<Shared>, job: JobId, waker: &Waker) -> Result<()> {
        let mut table = shared.wakers.table();
        if let Some(before) = table.waiting.get_mut(&job) {
            before.clone_from(waker);
            return Ok(());
        }
        table.waiting.insert(job, waker.clone());
        if !table.is_served {
            serve(Arc::clone(shared)).inspect_err(|_| drop(table.waiting.remove(&job)))?;
            table.is_served = true;
        }
        drop(table);
        let asked = shared.engine.notify(job).map_err(|error| shared.error(error));
        asked.map(drop).inspect_err(|_| shared.wakers.forget(job))
    }

    /// Nobody waits for the job any more.
    pub(super) fn forget(&self, job: JobId) {
        self.table().waiting.remove(&job);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic of a waker leaves the table as it is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: Arc<Shared>) -> Result<()> {
    let run = move || {
        // Signals are for the program's own threads.
        let _ = signals::block_all();
        loop {
            match shared.engine.wait_notified() {
                Ok((_, Some(job))) => {
                    // Not under the lock: a waker may poll at once.
                    let waker = shared.wakers.table().waiting.remove(&job);
                    waker.into_iter().for_each(Waker::wake);
                }
                Ok((Waited::Interrupted | Waited::TimedOut, None)) => {}
                // The pool has ended, and with it all of its jobs.
                Ok((Waited::Reached, None)) | Err(_) => break,
            }
        }
        let mut table = shared.wakers.table();
        table.is_served = false;
        let left = std::mem::take(&mut table.waiting);
        drop(table);
        left.into_values().for_each(Waker::wake);
    };
    let started = thread::Builder::new().name("millpond-wakers".into()).spawn(run);
    let what = "start the thread that wakes async tasks";
    started.map(drop).map_err(|source| Error::from(Cause::Io { what, source }))
}
