//! Taking the outcomes of jobs.

use crate::pool::handle::{Pool, PoolError};
use crate::pool::job::Job;
use crate::pool::task::{JobId, Outcome};

impl Pool {
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
        // In a forked child the job is the parent's.
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

    /// The binding will not take the outcomes of this job any more. Its tasks run all the same.
    pub fn abandon(&self, job: JobId) {
        // In a forked child the job is the parent's.
        if let Ok(shared) = self.shared() {
            let mut state = shared.state();
            state.abandon(job);
            if !state.notified.is_empty() {
                shared.tell_waiters(&state);
            }
        }
    }

    /// The binding will not take the outcomes of this job any more; they are dropped as they come.
    /// Tasks may still be added to it.
    pub fn discard(&self, job: JobId) {
        // In a forked child the job is the parent's.
        if let Ok(shared) = self.shared() {
            shared.state().discard(job);
        }
    }
}
