//! Wakes the tasks of async executors whose jobs are over.
//!
//! One thread a pool serves all of its jobs that are polled; it begins with the first of them and
//! ends with the pool. It waits as other threads do, so it drives the pool meanwhile. No executor is
//! assumed: all that is used of one is its `Waker`.

use std::sync::Arc;
use std::task::Waker;
use std::thread;

use millpond_core::os::signals;
use millpond_core::pool::Waited;
use millpond_core::pool::task::JobId;

use super::shared::Shared;
use crate::error::{Cause, Error, Result};

/// Has a task woken when a job is over, which may be so by now. A later call for the same job takes
/// the place of this one.
pub(super) fn wake_when_over(shared: &Arc<Shared>, job: JobId, waker: &Waker) -> Result<()> {
    let mut table = shared.wakers.table();
    if let Some(before) = table.waiting.get_mut(&job) {
        before.clone_from(waker);
        return Ok(());
    }
    if !table.is_served {
        serve(Arc::clone(shared))?;
        table.is_served = true;
    }
    table.waiting.insert(job, waker.clone());
    drop(table);
    let asked = shared.engine.notify(job).map_err(|error| shared.error(error));
    asked.map(drop).inspect_err(|_| drop(shared.wakers.take(job)))
}

fn serve(shared: Arc<Shared>) -> Result<()> {
    let run = move || {
        // Signals are for the program's own threads.
        let _ = signals::block_all();
        loop {
            match shared.engine.wait_notified() {
                // Not under the lock: a waker may poll at once.
                Ok((_, Some(job))) => shared.wakers.take(job).into_iter().for_each(Waker::wake),
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
