//! The pool as a door holds it.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::os::eventfd::EventFd;
use crate::os::exit_status::ExitStatus;
use crate::os::fork::Owner;
use crate::os::signals::SignalMask;
use crate::pool::commons::Commons;
use crate::pool::config::Config;
use crate::pool::job::JobSpec;
use crate::pool::luggage::Claim;
use crate::pool::state::{Phase, State};
use crate::pool::stats::Stats;
use crate::pool::supervisor;
use crate::pool::task::{Breakage, JobId, NewTask, Outcome, Reason};
use crate::pool::zygote::client::{ZygoteClient, ZygoteSource};
use crate::shm::heap::Heap;
use crate::sync::bell::Loudness;
use crate::trace::{Life, Timeline};

/// A pool of worker processes.
///
/// Dropped, it is terminated; [`wait_ended`](Pool::wait_ended) tells when that is done.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What the threads of the owning process share.
pub(crate) struct Shared {
    pub(crate) owner: Owner,
    pub(crate) commons: Commons,
    pub(crate) watcher: EventFd,
    pub(crate) source: Box<dyn ZygoteSource>,
    /// The signal mask of the thread that made the pool, which later zygotes begin with too.
    pub(crate) mask: SignalMask,
    state: Mutex<State>,
    zygote: Mutex<Arc<ZygoteClient>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("owner", &self.owner).finish_non_exhaustive()
    }
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

/// A worker, as the pool sees it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Counted from 1 within the pool, never used again.
    pub number: u64,
    /// Its pid; `None` while it is being forked.
    pub pid: Option<u32>,
    /// Tasks that it has, running one included.
    pub load: usize,
}

/// The truth, until it is dropped. What turned out meanwhile to have arrived, or not, is settled
/// when the lock is free again, since that may wait for other processes.
#[derive(Debug)]
pub(crate) struct StateGuard<'a> {
    // Fields are dropped in this order.
    state: MutexGuard<'a, State>,
    claims: Claims,
}

#[derive(Debug)]
struct Claims(Vec<Claim>);

impl Drop for Claims {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Claim::settle);
    }
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        self.claims.0 = std::mem::take(&mut self.state.claims);
    }
}

impl Shared {
    pub(crate) fn state(&self) -> StateGuard<'_> {
        // A panic under the lock is a bug; going on is better than taking the program down.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        StateGuard { state, claims: Claims(Vec::new()) }
    }

    pub(crate) fn zygote(&self) -> Arc<ZygoteClient> {
        Arc::clone(&self.zygote.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace_zygote(&self, zygote: ZygoteClient) {
        *self.zygote.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(zygote);
    }

    /// Has the supervisor care for the workers if no thread of the program does.
    pub(crate) fn hand_over(&self, state: &mut State) {
        let bell = self.commons.bell();
        if state.waiters > 0 {
            return;
        }
        while state.needs_care() {
            bell.watch();
            // What came before the flag was set rang for nobody.
            if !state.work() {
                return;
            }
        }
        bell.unwatch();
    }

    /// Tells waiting threads of this process to look again.
    pub(crate) fn tell_waiters(&self, state: &State) {
        if state.waiters > 0 && self.commons.bell().ring(Loudness::Loud) {
            self.watcher.signal();
        }
    }
}

impl Pool {
    /// Makes a pool: its zygote at once, its workers as fast as the zygote forks them.
    ///
    /// # Errors
    /// The system's, when processes, descriptors or memory have run out.
    pub fn start(config: Config, source: Box<dyn ZygoteSource>) -> Result<Self, PoolError> {
        let commons = Commons::create(config.tasks_per_worker, config.traced)?;
        let watcher = EventFd::new()?;
        let zygote = ZygoteClient::start(&*source, &commons, &watcher)?;
        let mut state = State::new(config, Heap::new(commons.segment())?);
        state.recruit(&zygote);
        let shared = Arc::new(Shared {
            owner: Owner::current(),
            commons,
            watcher,
            source,
            mask: SignalMask::current()?,
            state: Mutex::new(state),
            zygote: Mutex::new(Arc::new(zygote)),
        });
        supervisor::register(&shared)?;
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
        let job = state.create_job(spec);
        let added = self.add(&mut state, job, tasks, sealed);
        if added.is_err() {
            state.abandon(job);
        }
        added.map(|()| job)
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
        self.add(&mut self.shared()?.state(), job, tasks, sealed)
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
        sealed: bool,
    ) -> Result<(), PoolError> {
        let added = tasks.iter_mut().try_for_each(|task| state.add_task(job, task));
        if sealed || added.is_err() {
            state.seal(job);
        }
        state.work();
        self.shared.hand_over(state);
        // Others that doze now share the workers with this job: they must wake and see.
        self.shared.tell_waiters(state);
        Ok(added?)
    }

    /// Takes the outcome of one task of a job.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take(&self, job: JobId, index: u64) -> Result<Option<Outcome>, PoolError> {
        Ok(self.shared()?.state().jobs.get_mut(&job).and_then(|j| j.take(index)))
    }

    /// Takes the outcome of the task of a job that ended first, with its index.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take_next(&self, job: JobId) -> Result<Option<(u64, Outcome)>, PoolError> {
        Ok(self.shared()?.state().jobs.get_mut(&job).and_then(super::job::Job::take_next))
    }

    /// Takes all outcomes of a job that is over, in the order of its tasks; `None` for tasks that
    /// had not ended when the job failed.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take_all(&self, job: JobId) -> Result<Vec<Option<Outcome>>, PoolError> {
        let mut state = self.shared()?.state();
        Ok(state.jobs.get_mut(&job).map(super::job::Job::take_all).unwrap_or_default())
    }

    /// Nobody will ask for the outcomes of this job any more. Its tasks run all the same.
    pub fn abandon(&self, job: JobId) {
        // In a forked child the job was somebody else's.
        if let Ok(shared) = self.shared() {
            shared.state().abandon(job);
        }
    }

    /// Keeps the tasks of a job that no worker has begun from running, and returns whether the job
    /// is over now, which it is if that was all of it. The price grows with the number of tasks
    /// that workers were handed ahead.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn cancel(&self, job: JobId) -> Result<bool, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        // What has ended by now was not cancelled.
        state.work();
        let cancelled = state.jobs.get(&job).is_some_and(|j| !j.is_over()) && {
            state.cancel_waiting(|task| task.job == job, &Reason::Terminated);
            state.jobs.get(&job).is_none_or(super::job::Job::is_over)
        };
        // Others wait in the places of those that were taken back.
        state.work();
        shared.hand_over(&mut state);
        shared.tell_waiters(&state);
        Ok(cancelled)
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

    /// Ends the pool now: what has not begun is cancelled, workers get SIGTERM and, after a grace,
    /// SIGKILL. Returns at once.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn terminate(&self) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        shared.commons.end();
        state.terminate();
        shared.tell_waiters(&state);
        drop(state);
        shared.watcher.signal();
        Ok(())
    }

    /// The workers that the pool has now, in the order of their places.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn workers(&self) -> Result<Vec<WorkerInfo>, PoolError> {
        let state = self.shared()?.state();
        let mut members: Vec<_> = state.members.iter().collect();
        members.sort_by_key(|m| m.place);
        let info = |m: &&super::member::Member| WorkerInfo {
            number: m.number,
            pid: m.pid,
            load: m.load(),
        };
        Ok(members.iter().map(info).collect())
    }

    /// How the worker of this number ended, if it did. Of workers that ended long ago it is no
    /// longer known how.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn end_of(&self, worker: u64) -> Result<Option<ExitStatus>, PoolError> {
        let state = self.shared()?.state();
        let gone = worker <= state.last_worker && state.members.iter().all(|m| m.number != worker);
        let known = state.stats.end_of(worker);
        Ok(known.or_else(|| gone.then_some(ExitStatus::Unknown)))
    }

    /// The pid of the zygote.
    #[must_use]
    pub fn zygote_pid(&self) -> u32 {
        self.shared.zygote().pid()
    }

    /// What the pool has done so far.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn stats(&self) -> Result<Stats, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        Ok(state.stats.clone())
    }

    /// Which worker did what, and when, if that was to be kept.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn timeline(&self) -> Result<Option<Timeline>, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        Ok(state.timeline.clone().map(|mut timeline| {
            timeline.lives.extend(state.members.iter().map(|m| Life {
                worker: m.place,
                pid: m.pid.unwrap_or(0),
                start_ns: m.started_ns,
                end_ns: None,
                end: None,
            }));
            timeline
        }))
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

impl Drop for Pool {
    fn drop(&mut self) {
        // A forked child drops a copy of the handle; the pool is its parent's.
        let _ = self.terminate();
    }
}
