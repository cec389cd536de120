//! `Pool`, the handle by which a binding uses a pool.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::pool::config::Config;
use crate::pool::job::{Job, JobSpec};
use crate::pool::shared::Shared;
use crate::pool::staged::{self, StagedArguments};
use crate::pool::state::{Phase, State};
use crate::pool::supervisor;
use crate::pool::task::{Breakage, JobId, NewTask, Outcome, Reason};
use crate::pool::zygote::client::ZygoteSource;

/// A pool of worker processes.
///
/// Dropped, it is terminated; [`wait_ended`](Pool::wait_ended) tells when that is done.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// Why a pool does not do what was asked.
#[derive(Debug)]
pub enum PoolError {
    /// It takes no new jobs: it was closed or terminated.
    NotRunning,
    /// Its workers cannot be set up.
    Broken(Arc<Breakage>),
    /// It belongs to another process, of which this one is a forked child.
    ForeignProcess {
        /// The process that made the pool.
        owner: u32,
    },
    /// The system refused something.
    Io(io::Error),
}

impl From<io::Error> for PoolError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Pool {
    /// Makes a pool: its zygote at once, unless that is slow to make, its workers as fast as the zygote
    /// forks them.
    ///
    /// # Errors
    /// The system's, when processes, descriptors or memory have run out.
    pub fn start(config: Config, source: Box<dyn ZygoteSource>) -> Result<Self, PoolError> {
        let shared = Arc::new(Shared::new(config, source, supervisor::lifeline()?)?);
        if !shared.source.is_slow() {
            let zygote = shared.take_up(shared.make_zygote()?);
            let mut state = shared.state();
            state.grant_missing();
            state.recruit(&zygote);
        }
        supervisor::register(&shared)?;
        // It makes what is missing.
        if shared.source.is_slow() {
            shared.watcher.signal();
        }
        Ok(Self { shared })
    }

    pub(super) fn shared(&self) -> Result<&Shared, PoolError> {
        if self.shared.owner.is_current() {
            return Ok(&self.shared);
        }
        Err(PoolError::ForeignProcess { owner: self.shared.owner.pid() })
    }

    /// Begins a job with these tasks; more may follow unless it is `sealed`.
    ///
    /// # Errors
    /// [`PoolError::NotRunning`], [`PoolError::Broken`]; [`PoolError::Io`] when the arguments find
    /// no room, and then there is no job.
    pub fn submit(
        &self,
        spec: &JobSpec<'_>,
        tasks: &mut [NewTask<'_>],
        sealed: bool,
    ) -> Result<JobId, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        match &state.phase {
            Phase::Running if !state.ended => {}
            Phase::Broken(breakage) => return Err(PoolError::Broken(Arc::clone(breakage))),
            _ => return Err(PoolError::NotRunning),
        }
        // The job is there before its arguments are copied: a pool that is closed meanwhile takes
        // them, and is joined when they are done.
        let job = state.create_job(spec);
        let (staged, mut state) = if staged::any_large(tasks) {
            drop(state);
            (StagedArguments::new(shared, tasks), shared.state())
        } else {
            (StagedArguments::new(shared, tasks), state)
        };
        if let Err(error) = staged.failure {
            state.abandon(job);
            shared.tell_waiters(&state);
            return Err(error.into());
        }
        self.add(&mut state, job, tasks, staged, sealed)?;
        Ok(job)
    }

    /// Adds tasks to a job that is not sealed. A closed pool still takes them.
    ///
    /// # Errors
    /// [`PoolError::Io`] when the arguments find no room; the tasks before them are added.
    pub fn extend(
        &self,
        job: JobId,
        tasks: &mut [NewTask<'_>],
        sealed: bool,
    ) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let staged = StagedArguments::new(shared, tasks);
        self.add(&mut shared.state(), job, tasks, staged, sealed)
    }

    /// Adds a task to a job that has ended already, with this result: for arguments that cannot be
    /// sent, so that the failure takes the place of the task's result.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn extend_with_outcome(
        &self,
        job: JobId,
        outcome: Outcome,
        sealed: bool,
    ) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        state.add_outcome(job, outcome);
        if sealed {
            state.seal(job);
        }
        shared.tell_waiters(&state);
        Ok(())
    }

    fn add(
        &self,
        state: &mut State,
        job: JobId,
        tasks: &mut [NewTask<'_>],
        mut staged: StagedArguments,
        sealed: bool,
    ) -> Result<(), PoolError> {
        for task in &mut tasks[..staged.count] {
            let filled = staged.next(task);
            state.add_task(job, task, filled);
        }
        if sealed || staged.failure.is_err() {
            state.seal(job);
        }
        state.work();
        self.shared.hand_over(state);
        // Batch waiters share the workers with this job: they must wake and see.
        self.shared.tell_waiters(state);
        Ok(staged.failure?)
    }

    /// Keeps the tasks of some jobs, or of all, that no worker has begun from running, and returns
    /// how many those are. The cost grows with the number of tasks that wait, not with the number
    /// of jobs.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn cancel(&self, jobs: Option<&[JobId]>) -> Result<usize, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        // What has ended by now was not cancelled.
        state.work();
        let chosen: Option<HashSet<JobId>> = jobs.map(|jobs| jobs.iter().copied().collect());
        let cancelled = state.cancel_waiting(
            |task| chosen.as_ref().is_none_or(|jobs| jobs.contains(&task.job)),
            &Reason::Cancelled,
        );
        // Others wait in the places of those that were taken back.
        state.work();
        shared.hand_over(&mut state);
        shared.tell_waiters(&state);
        Ok(cancelled)
    }

    /// Cancels a job as a whole, unless it is over: it is over then, and keeps its tasks that no worker
    /// has begun from running. Returns whether it was not over.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn give_up(&self, job: JobId) -> Result<bool, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        // What has ended by now was not given up.
        state.work();
        let gives_up = state.jobs.change(job, Job::give_up).unwrap_or(false);
        if gives_up {
            state.cancel_waiting(|task| task.job == job, &Reason::Cancelled);
            state.job_may_be_over(job);
            state.work();
            shared.hand_over(&mut state);
        }
        shared.tell_waiters(&state);
        Ok(gives_up)
    }

    /// Takes no new jobs; when those that it has are over, the pool ends.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn close(&self) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if matches!(state.phase, Phase::Running) {
            state.phase = Phase::Closing;
        }
        state.work();
        shared.hand_over(&mut state);
        shared.tell_waiters(&state);
        drop(state);
        // The supervisor sees to the end, also of a pool that has nothing to do any more.
        shared.watcher.signal();
        Ok(())
    }

    /// Ends the pool now: what has not begun is cancelled, workers get SIGTERM and, after 5 s,
    /// SIGKILL. Returns at once.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn terminate(&self) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        state.end_workers();
        state.terminate();
        shared.tell_waiters(&state);
        drop(state);
        shared.watcher.signal();
        Ok(())
    }

    /// The pid of the newest zygote.
    #[must_use]
    pub fn zygote_pid(&self) -> u32 {
        self.shared.newest_zygote_pid.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A forked child drops a copy of the handle; the pool is its parent's.
        let _ = self.terminate();
    }
}
