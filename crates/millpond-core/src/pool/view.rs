//! Read access to a pool's state, for bindings and tests.

use std::time::Duration;

use crate::os::clock::monotonic_ns;
use crate::os::exit_status::ExitStatus;
use crate::pool::handle::{Pool, PoolError};
use crate::pool::job::{Job, Progress};
use crate::pool::levels::Level;
use crate::pool::shared::StateGuard;
use crate::pool::size::SizeInfo;
use crate::pool::state::{Phase, State};
use crate::pool::stats::Stats;
use crate::pool::task::{JobId, Reason};
use crate::pool::worker_handle::WorkerHandle;
use crate::trace::{Life, Timeline};

/// A worker, as the pool sees it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Counted from 1 within the pool, never used again.
    pub number: u64,
    /// What the binding calls it: see
    /// [`ZygoteSource::replace`](crate::pool::zygote::client::ZygoteSource::replace). 0 for one of the
    /// first.
    pub tag: u64,
    /// Its pid; `None` while it is being forked.
    pub pid: Option<u32>,
    /// Tasks that it has, running one included.
    pub load: usize,
}

impl State {
    /// The levels that there have been, the lowest first.
    pub(crate) fn levels(&self) -> Vec<(i32, Level)> {
        let mut levels = self.levels.0.clone();
        if self.pending.is_ranked() {
            let now = monotonic_ns();
            // Behind the task that a worker is at, others wait as well.
            let behind = self.workers.iter().flat_map(|worker| {
                worker.in_flight().skip(usize::from(worker.ready)).map(|t| (t.priority, t.came_ns))
            });
            for (priority, came_ns) in
                self.pending.iter().map(|t| (t.priority, t.came_ns)).chain(behind)
            {
                let level = levels.entry(priority).or_default();
                level.waiting += 1;
                if came_ns > 0 {
                    let waited = Duration::from_nanos(now.saturating_sub(came_ns));
                    level.oldest = level.oldest.max(waited);
                }
            }
        }
        levels.into_iter().collect()
    }
}

impl Pool {
    /// The state with all that workers have sent so far.
    fn up_to_date(&self) -> Result<StateGuard<'_>, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        shared.summon(&mut state);
        Ok(state)
    }

    /// How far a job is; `None` if it is gone.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn progress(&self, job: JobId) -> Result<Option<Progress>, PoolError> {
        let state = self.up_to_date()?;
        Ok(state.jobs.get(job).map(Job::progress))
    }

    /// The jobs that are not over, and how many tasks wait for room at a worker.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn backlog(&self) -> Result<(Vec<JobId>, usize), PoolError> {
        let state = self.up_to_date()?;
        let mut jobs: Vec<_> =
            state.jobs.iter().filter(|(_, job)| !job.is_over()).map(|(id, _)| id).collect();
        jobs.sort_unstable();
        Ok((jobs, state.pending.len() + state.delayed.len()))
    }

    /// Why the pool runs no tasks any more, if that is so.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn refusal(&self) -> Result<Option<Reason>, PoolError> {
        let state = self.shared()?.state();
        Ok(state.refuses_work().then(|| state.reason()))
    }

    /// Whether any task of a job that is not over was handed to a worker.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn is_handed(&self, job: JobId) -> Result<bool, PoolError> {
        let state = self.up_to_date()?;
        let unfinished = match state.jobs.get(job) {
            Some(job) if !job.is_over() => job.unfinished(),
            _ => return Ok(false),
        };
        let delayed = state.delayed.values();
        let waiting = state.pending.iter().chain(delayed).filter(|task| task.job == job).count();
        Ok(usize::try_from(unfinished).is_ok_and(|unfinished| waiting < unfinished))
    }

    /// The workers that the pool has now, in the order of their places.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn workers(&self) -> Result<Vec<WorkerInfo>, PoolError> {
        let state = self.shared()?.state();
        let mut workers: Vec<_> = state.workers.iter().collect();
        workers.sort_by_key(|m| m.place);
        let info = |m: &&WorkerHandle| WorkerInfo {
            number: m.number,
            tag: m.tag,
            pid: m.pid,
            load: m.load(),
        };
        Ok(workers.iter().map(info).collect())
    }

    /// How the worker of this number ended, if it did. Of workers that ended long ago it is no
    /// longer known how.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn end_of(&self, worker: u64) -> Result<Option<ExitStatus>, PoolError> {
        let state = self.shared()?.state();
        let gone = worker <= state.last_worker && state.workers.iter().all(|m| m.number != worker);
        let known = state.stats.end_of(worker);
        Ok(known.or_else(|| gone.then_some(ExitStatus::Unknown)))
    }

    /// What the pool has done so far.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn stats(&self) -> Result<Stats, PoolError> {
        let state = self.up_to_date()?;
        Ok(state.stats.clone())
    }

    /// Which worker did what, and when, if that was to be kept.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn timeline(&self) -> Result<Option<Timeline>, PoolError> {
        let state = self.up_to_date()?;
        Ok(state.timeline.clone().map(|mut timeline| {
            timeline.lives.extend(state.workers.iter().map(|m| Life {
                worker: m.place,
                pid: m.pid.unwrap_or(0),
                start_ns: m.started_ns,
                end_ns: None,
                end: None,
            }));
            timeline
        }))
    }

    /// How long tasks of each priority waited for a worker, the lowest first. Empty as long as none had
    /// another one than 0.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn levels(&self) -> Result<Vec<(i32, Level)>, PoolError> {
        Ok(self.up_to_date()?.levels())
    }

    /// How large it is, and may be.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn size(&self) -> Result<SizeInfo, PoolError> {
        Ok(self.up_to_date()?.size_info())
    }

    /// Whether it takes new jobs.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn is_running(&self) -> Result<bool, PoolError> {
        let state = self.shared()?.state();
        Ok(matches!(state.phase, Phase::Running) && !state.ended)
    }
}
