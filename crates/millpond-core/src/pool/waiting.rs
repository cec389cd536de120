//! Waiting for a pool. A waiting thread drives it: it drains the workers' result rings and
//! dispatches queued tasks, so no other thread is needed for that.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::os::futex::Woken;
use crate::pool::handle::{Pool, PoolError};
use crate::pool::job::{Job, Target};
use crate::pool::state::{Phase, State};
use crate::pool::supervisor;
use crate::pool::task::JobId;
use crate::sync::spin::Spin;

/// How long a wait lasts at most before the binding may look for signals that came while it began, and
/// before the thread looks again whatever workers have done to the event count. Deaths are the
/// supervisor's.
const RECHECK_INTERVAL: Duration = Duration::from_millis(250);

thread_local! {
    static SPIN: RefCell<Spin> = RefCell::default();
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for is there.
    Reached,
    /// The deadline came first.
    TimedOut,
    /// Neither yet; a signal may have come. Wait again.
    Interrupted,
}

impl Pool {
    /// Waits for an outcome, or for the end of a job. A job that is gone counts as reached.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn wait(
        &self,
        job: JobId,
        target: Target,
        deadline: Option<Instant>,
    ) -> Result<Waited, PoolError> {
        self.wait_until(deadline, target == Target::All, |state| {
            state.jobs.get(job).is_none_or(|j| j.is_reached(target)).then_some(())
        })
    }

    /// Whether [`wait`](Self::wait) would return at once.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn is_reached(&self, job: JobId, target: Target) -> Result<bool, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        if state.work() {
            shared.tell_waiters(&state);
        }
        Ok(state.jobs.get(job).is_none_or(|j| j.is_reached(target)))
    }

    /// Waits for a job that wanted to be notified to be over, and returns it.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn wait_notified(&self) -> Result<(Waited, Option<JobId>), PoolError> {
        let mut over = None;
        let waited = self.wait_until(None, false, |state| {
            over = state.notified.pop_front();
            // The thread that decodes a job's outcomes notifies it afterwards.
            let is_awaited = |(_, job): (_, &Job)| job.decoding && job.notify;
            let is_last = || state.ended && !state.jobs.iter().any(is_awaited);
            (over.is_some() || is_last()).then_some(())
        })?;
        Ok((waited, over))
    }

    /// Asks for a job to be told by [`wait_notified`](Self::wait_notified) when it is over and no
    /// thread decodes its outcomes, which may be so by now; `false` if it is gone
    /// or abandoned.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn notify(&self, job: JobId) -> Result<bool, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        let ask = |job: &mut Job| {
            job.notify = !job.abandoned;
            job.notify
        };
        let is_there = state.jobs.change(job, ask).unwrap_or(false);
        state.job_may_be_over(job);
        if !state.notified.is_empty() {
            shared.tell_waiters(&state);
        }
        Ok(is_there)
    }

    /// Like [`wait_notified`](Self::wait_notified), but returns `None` at once where that would
    /// wait.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn poll_notified(&self) -> Result<Option<JobId>, PoolError> {
        Ok(self.shared()?.state().notified.pop_front())
    }

    /// Waits until no process of the pool is left, after [`close`](Self::close) or
    /// [`terminate`](Self::terminate).
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn wait_ended(&self, deadline: Option<Instant>) -> Result<Waited, PoolError> {
        let waited = self.wait_until(deadline, false, |state| state.ended.then_some(()))?;
        if let Waited::Reached = waited {
            supervisor::join_thread();
        }
        Ok(waited)
    }

    /// Waits until every place of the pool has a worker with a pid.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn wait_started(&self, deadline: Option<Instant>) -> Result<Waited, PoolError> {
        self.wait_until(deadline, false, |state| {
            let started = state.workers.iter().filter(|m| m.pid.is_some()).count();
            let done = started >= state.config.processes || !matches!(state.phase, Phase::Running);
            done.then_some(())
        })
    }

    fn wait_until(
        &self,
        deadline: Option<Instant>,
        bulk: bool,
        mut check: impl FnMut(&mut State) -> Option<()>,
    ) -> Result<Waited, PoolError> {
        let shared = self.shared()?;
        let event_count = shared.control_block.event_count();
        let interval = Instant::now() + RECHECK_INTERVAL;
        let until = deadline.map_or(interval, |d| d.min(interval));
        let mut entered = false;
        let mut batch = false;
        loop {
            if batch {
                event_count.prepare_batch_wait();
            }
            let seen = event_count.listen();
            let (may_batch, next_look) = {
                let mut state = shared.state();
                // Before tasks are handed out: how many workers are woken depends on it.
                state.waiters += usize::from(!std::mem::replace(&mut entered, true));
                let took = state.work();
                let reached = check(&mut state).is_some();
                if reached || Instant::now() >= until {
                    state.waiters -= 1;
                    shared.hand_over(&mut state);
                    if took {
                        shared.tell_waiters(&state);
                    }
                    return Ok(match (reached, deadline) {
                        (true, _) => Waited::Reached,
                        (false, Some(d)) if Instant::now() >= d => Waited::TimedOut,
                        _ => Waited::Interrupted,
                    });
                }
                event_count.unwatch();
                if took && state.waiters > 1 {
                    // Notifies this thread too, which looks once more.
                    shared.tell_waiters(&state);
                }
                // The row "map with chunk size 1" needs it: without batch waits a task takes a
                // tenth more CPU time. With plenty to do and no other job in between, the last
                // result of the job is the last of its worker, which notifies all.
                let is_alone = state.waiters == 1 && state.jobs.active() == 1;
                (bulk && is_alone && state.needs_care(), state.next_look())
            };
            let until = next_look.map_or(until, |look| look.min(until));
            let woken = match (may_batch, batch) {
                (true, true) => event_count.batch_wait(until),
                (true, false) => Woken::Changed,
                (false, _) => {
                    let left = until.saturating_duration_since(Instant::now());
                    SPIN.with_borrow_mut(|spin| event_count.wait(seen, spin, Some(left)))
                }
            };
            batch = may_batch;
            if woken == Woken::Interrupted {
                let mut state = shared.state();
                state.waiters -= 1;
                shared.hand_over(&mut state);
                return Ok(Waited::Interrupted);
            }
        }
    }
}
