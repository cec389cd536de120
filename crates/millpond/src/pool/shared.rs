//! What a pool, its results and its iterators have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::payload::when_settled;
use millpond_core::pool::task::{JobId, NewTask};
use millpond_core::pool::{PoolError, Waited};

use super::last_words::LastWords;
use super::reply;
use super::wakers::Wakers;
use crate::error::{Cause, Error, Result, Subject};
use crate::queue::unread::recall_of_kind;

const RUNNING: u8 = 0;
const CLOSED: u8 = 1;
const TERMINATED: u8 = 2;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: millpond_core::pool::Pool,
    pub(super) processes: usize,
    /// Whether only so many tasks may wait.
    is_limited: bool,
    asked_for: AtomicU8,
    pub(super) wakers: Wakers,
    pub(super) last_words: Arc<LastWords>,
}

/// Where a pool stands, for [`Debug`](std::fmt::Debug).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Closed,
    Terminated,
    Broken,
    /// This is a fork of the process whose pool it is.
    Foreign,
}

impl Shared {
    pub(super) fn new(
        engine: millpond_core::pool::Pool,
        processes: usize,
        is_limited: bool,
        last_words: Arc<LastWords>,
    ) -> Self {
        when_settled(recall_of_kind);
        Self {
            engine,
            processes,
            is_limited,
            asked_for: AtomicU8::new(RUNNING),
            wakers: Wakers::default(),
            last_words,
        }
    }

    pub(super) fn state(&self) -> State {
        match (self.engine.is_running(), self.asked_for.load(Ordering::Relaxed)) {
            (Err(_), _) => State::Foreign,
            (Ok(true), _) => State::Running,
            (Ok(false), CLOSED) => State::Closed,
            (Ok(false), TERMINATED) => State::Terminated,
            (Ok(false), _) => State::Broken,
        }
    }

    pub(super) fn close(&self) {
        // A pool that was terminated stays so.
        let (from, to) = (RUNNING, CLOSED);
        let _ = self.asked_for.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        // In a fork there is nothing to close.
        let _ = self.engine.close();
    }

    pub(super) fn terminate(&self) {
        self.asked_for.store(TERMINATED, Ordering::Relaxed);
        // In a fork there is nothing to terminate.
        let _ = self.engine.terminate();
    }

    /// Adds tasks to a job, or begins one with them, as soon as there is room for them.
    pub(super) fn add(
        &self,
        job: Option<JobId>,
        spec: &JobSpec<'_>,
        tasks: &mut [NewTask<'_>],
        sealed: bool,
    ) -> std::result::Result<JobId, PoolError> {
        let add = |job: Option<JobId>, tasks: &mut [NewTask<'_>], sealed| match job {
            Some(id) => self.engine.extend(id, tasks, sealed).map(|()| id),
            None => self.engine.submit(spec, tasks, sealed),
        };
        if !self.is_limited || tasks.is_empty() {
            return add(job, tasks, sealed);
        }
        let (mut job, mut rest) = (job, tasks);
        loop {
            let reserved = self.reserve(rest.len())?;
            // The pool was closed meanwhile: it still takes what belongs to a job that it has.
            let count = if reserved == 0 { rest.len() } else { reserved };
            let (now, later) = rest.split_at_mut(count);
            let added = add(job, now, sealed && later.is_empty());
            self.engine.release(reserved)?;
            let id = added?;
            if later.is_empty() {
                return Ok(id);
            }
            (job, rest) = (Some(id), later);
        }
    }

    /// Waits for room for some of so many tasks; 0 if the pool takes nothing more.
    fn reserve(&self, count: usize) -> std::result::Result<usize, PoolError> {
        let reserved = self.engine.reserve(count, false)?;
        if reserved > 0 {
            return Ok(reserved);
        }
        loop {
            if let (Waited::Reached, reserved) = self.engine.wait_to_reserve(count)? {
                return Ok(reserved);
            }
        }
    }

    /// Waits until no process of the pool is left.
    pub(super) fn wait_ended(&self) -> Result<()> {
        while self.engine.wait_ended(None).map_err(|error| self.error(error))? != Waited::Reached {}
        Ok(())
    }

    /// Whether what was waited for came before the deadline.
    pub(super) fn wait(
        &self,
        job: JobId,
        target: Target,
        deadline: Option<Instant>,
    ) -> Result<bool> {
        loop {
            match self.engine.wait(job, target, deadline).map_err(|error| self.error(error))? {
                Waited::Reached => return Ok(true),
                Waited::TimedOut => return Ok(false),
                Waited::Interrupted => {}
            }
        }
    }

    /// The engine's errors as this crate's.
    pub(super) fn error(&self, error: PoolError) -> Error {
        let cause = match error {
            PoolError::NotRunning => Cause::Closed,
            PoolError::Broken(breakage) => reply::broken(&breakage),
            PoolError::ForeignProcess { owner } => Cause::ForkedChild(owner),
            PoolError::Io(source) => Cause::Io { what: "take the arguments of a task", source },
        };
        Error::from(cause).about(self.subject())
    }

    /// This pool, as errors name it.
    pub(super) fn subject(&self) -> Subject {
        Subject::Pool { processes: self.processes }
    }
}
