//! The pool as a binding holds it.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::os::eventfd::EventFd;
use crate::os::exit_status::ExitStatus;
use crate::os::fork::Owner;
use crate::os::lifeline::Lifeline;
use crate::os::signals::SignalMask;
use crate::pool::commons::Commons;
use crate::pool::config::Config;
use crate::pool::job::{Job, JobSpec, Progress};
use crate::pool::luggage::Claim;
use crate::pool::staged::{self, Staged};
use crate::pool::state::{Phase, State};
use crate::pool::stats::Stats;
use crate::pool::supervisor;
use crate::pool::task::{Breakage, JobId, NewTask, Outcome, Reason};
use crate::pool::zygote::client::{ZygoteClient, ZygoteSource};
use crate::shm::draft::Cooling;
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
    lifeline: Arc<Lifeline>,
    pub(crate) source: Box<dyn ZygoteSource>,
    /// The signal mask of the thread that made the pool, which later zygotes begin with too.
    pub(crate) mask: SignalMask,
    /// The name of that thread, which later workers have too where they are forked.
    pub(crate) thread_name: Option<CString>,
    state: Mutex<State>,
    zygotes: Mutex<Zygotes>,
    newest_zygote_pid: AtomicU32,
}

/// The zygotes of a pool that are not known to be dead.
#[derive(Default)]
struct Zygotes {
    /// The newest is the last.
    living: Vec<Arc<ZygoteClient>>,
    /// How many there have been.
    count: u64,
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
    /// What the binding calls it: see [`ZygoteSource::replace`]. 0 for one of the first.
    pub tag: u64,
    /// Its pid; `None` while it is being forked.
    pub pid: Option<u32>,
    /// Tasks that it has, running one included.
    pub load: usize,
}

/// The truth, until it is dropped. What turned out meanwhile to have arrived, or not, is settled
/// when the lock is free again, since that may wait for other processes; and pages that are not worth
/// keeping go back to the system then, since that takes its time.
#[derive(Debug)]
pub(crate) struct StateGuard<'a> {
    // Fields are dropped in this order.
    state: MutexGuard<'a, State>,
    claims: Claims,
    cooling: Cooling,
}

#[derive(Debug, Default)]
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
        self.cooling = self.state.heap.cooling();
    }
}

impl Shared {
    pub(crate) fn state(&self) -> StateGuard<'_> {
        // A panic under the lock is a bug; going on is better than taking the program down.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        StateGuard { state, claims: Claims::default(), cooling: Cooling::default() }
    }

    fn lock_zygotes(&self) -> MutexGuard<'_, Zygotes> {
        self.zygotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are not known to be dead, the newest last.
    pub(crate) fn zygotes(&self) -> Vec<Arc<ZygoteClient>> {
        self.lock_zygotes().living.clone()
    }

    /// Whether there has been one.
    pub(crate) fn has_had_zygotes(&self) -> bool {
        self.lock_zygotes().count > 0
    }

    /// The one that forks workers.
    pub(crate) fn newest_zygote(&self) -> Option<Arc<ZygoteClient>> {
        let zygotes = self.lock_zygotes();
        zygotes.living.last().filter(|zygote| zygote.generation == zygotes.count).cloned()
    }

    /// Makes a zygote, which is to become the newest by [`take_up`](Self::take_up). One at a time.
    pub(crate) fn make_zygote(&self) -> io::Result<ZygoteClient> {
        let generation = self.lock_zygotes().count + 1;
        let (commons, watcher, lifeline) = (&self.commons, &self.watcher, &self.lifeline);
        ZygoteClient::start(&*self.source, commons, watcher, lifeline, generation)
    }

    /// Has a zygote take the place of the newest, which ends with the last of its workers.
    pub(crate) fn take_up(&self, zygote: ZygoteClient) -> Arc<ZygoteClient> {
        let zygote = Arc::new(zygote);
        let mut zygotes = self.lock_zygotes();
        let older = zygotes.living.last().filter(|older| older.generation == zygotes.count);
        if let Some(older) = older {
            older.retire();
        }
        zygotes.count = zygote.generation;
        self.newest_zygote_pid.store(zygote.pid(), Ordering::Relaxed);
        zygotes.living.push(Arc::clone(&zygote));
        zygote
    }

    /// Forgets a zygote that is dead; whether it was there.
    pub(crate) fn forget_zygote(&self, generation: u64) -> bool {
        let mut zygotes = self.lock_zygotes();
        let before = zygotes.living.len();
        zygotes.living.retain(|zygote| zygote.generation != generation);
        zygotes.living.len() < before
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
                if state.next_look().is_some() && !std::mem::replace(&mut state.is_ticking, true) {
                    self.watcher.signal();
                }
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
    /// Makes a pool: its zygote at once, unless that is slow to make, its workers as fast as the zygote
    /// forks them.
    ///
    /// # Errors
    /// The system's, when processes, descriptors or memory have run out.
    pub fn start(config: Config, source: Box<dyn ZygoteSource>) -> Result<Self, PoolError> {
        let commons = Commons::create()?;
        let watcher = EventFd::new()?;
        let state = State::new(config, Heap::new(commons.segment())?);
        let shared = Arc::new(Shared {
            owner: Owner::current(),
            commons,
            watcher,
            lifeline: supervisor::lifeline()?,
            source,
            mask: SignalMask::current()?,
            // It is for those who look at processes; without it they see another name.
            thread_name: rustix::thread::name().ok(),
            state: Mutex::new(state),
            zygotes: Mutex::default(),
            newest_zygote_pid: AtomicU32::new(0),
        });
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
            (Staged::new(shared, tasks), shared.state())
        } else {
            (Staged::new(shared, tasks), state)
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
        let staged = Staged::new(shared, tasks);
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
        mut staged: Staged,
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
        // Others that doze now share the workers with this job: they must wake and see.
        self.shared.tell_waiters(state);
        Ok(staged.failure?)
    }

    /// Takes the outcome of one task of a job.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take(&self, job: JobId, index: u64) -> Result<Option<Outcome>, PoolError> {
        Ok(self.shared()?.state().jobs.change(job, |job| job.take(index)).flatten())
    }

    /// Takes the outcome of the task of a job that ended first, with its index.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take_next(&self, job: JobId) -> Result<Option<(u64, Outcome)>, PoolError> {
        Ok(self.shared()?.state().jobs.change(job, Job::take_next).flatten())
    }

    /// Takes all outcomes of a job that is over, in the order of its tasks; `None` for tasks that
    /// had not ended when the job failed.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn take_all(&self, job: JobId) -> Result<Vec<Option<Outcome>>, PoolError> {
        let mut state = self.shared()?.state();
        Ok(state.jobs.change(job, Job::take_all).unwrap_or_default())
    }

    /// Takes all outcomes of a job that is over, to be decoded by one thread, like
    /// [`take_all`](Self::take_all); `None` if the job is gone, or not over, or another thread has
    /// them, or `may` refuses one. Call [`end_decoding`](Self::end_decoding), or
    /// [`abandon`](Self::abandon) the job, when that is done.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn begin_decoding(
        &self,
        job: JobId,
        may: impl Fn(&Outcome) -> bool,
    ) -> Result<Option<Vec<Option<Outcome>>>, PoolError> {
        let mut state = self.shared()?.state();
        Ok(state.jobs.change(job, |job| job.begin_decoding(may)).flatten())
    }

    /// Decoding was interrupted: gives back the outcomes that are left, in their places, for the
    /// thread that asks next.
    pub fn end_decoding(&self, job: JobId, mut rest: Vec<Option<Outcome>>) {
        // In a forked child the job was somebody else's.
        let Ok(shared) = self.shared() else { return };
        let mut state = shared.state();
        state.jobs.change(job, |job| job.end_decoding(&mut rest));
        state.job_may_be_over(job);
        shared.tell_waiters(&state);
        drop(state);
        // What is left if the job is gone is dropped without the lock.
        drop(rest);
    }

    /// Gives back the outcome of one task that was [taken](Self::take), in its place: decoding it
    /// was interrupted.
    pub fn put_back(&self, job: JobId, index: u64, outcome: Outcome) {
        let mut outcome = Some(outcome);
        if let Ok(shared) = self.shared() {
            let put_back = |job: &mut Job| {
                outcome.take().into_iter().for_each(|outcome| job.put_back(index, outcome));
            };
            shared.state().jobs.change(job, put_back);
        }
        // Of a job that is gone, it is dropped without the lock.
        drop(outcome);
    }

    /// Nobody will ask for the outcomes of this job any more. Its tasks run all the same.
    pub fn abandon(&self, job: JobId) {
        // In a forked child the job was somebody else's.
        if let Ok(shared) = self.shared() {
            let mut state = shared.state();
            state.abandon(job);
            if !state.notified.is_empty() {
                shared.tell_waiters(&state);
            }
        }
    }

    /// Nobody will ask for the outcomes of this job any more; they are dropped as they come. Tasks
    /// may still be added to it.
    pub fn discard(&self, job: JobId) {
        // In a forked child the job was somebody else's.
        if let Ok(shared) = self.shared() {
            shared.state().discard(job);
        }
    }

    /// How far a job is; `None` if it is gone.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn progress(&self, job: JobId) -> Result<Option<Progress>, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        Ok(state.jobs.get(job).map(Job::progress))
    }

    /// The jobs that are not over, and how many tasks wait for room at a worker.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn backlog(&self) -> Result<(Vec<JobId>, usize), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        let mut jobs: Vec<_> =
            state.jobs.iter().filter(|(_, job)| !job.is_over()).map(|(id, _)| id).collect();
        jobs.sort_unstable();
        Ok((jobs, state.pending.len()))
    }

    /// Why the pool runs no tasks any more, if that is so.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn refusal(&self) -> Result<Option<Reason>, PoolError> {
        let state = self.shared()?.state();
        Ok(state.refuses_work().then(|| state.reason()))
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

    /// Whether any task of a job that is not over was handed to a worker.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn is_handed(&self, job: JobId) -> Result<bool, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        let unfinished = match state.jobs.get(job) {
            Some(job) if !job.is_over() => job.unfinished(),
            _ => return Ok(false),
        };
        let waiting = state.pending.iter().filter(|task| task.job == job).count();
        Ok(usize::try_from(unfinished).is_ok_and(|unfinished| waiting < unfinished))
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
        state.end_workers();
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
            tag: m.tag,
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

    /// The pid of the newest zygote.
    #[must_use]
    pub fn zygote_pid(&self) -> u32 {
        self.shared.newest_zygote_pid.load(Ordering::Relaxed)
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
