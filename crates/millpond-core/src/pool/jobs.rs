//! The jobs of a pool, and how many of them are in which state: counted, not looked up, since a
//! program may have a million.

use std::collections::HashMap;

use crate::pool::job::Job;
use crate::pool::task::JobId;

/// Jobs by number.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    by_number: HashMap<JobId, Job>,
    /// How many have tasks that have not ended.
    active: usize,
    /// How many may get more tasks.
    unsealed: usize,
    /// How many tasks of jobs that stream have not ended.
    streamed: u64,
}

impl Jobs {
    pub(crate) fn insert(&mut self, id: JobId, job: Job) {
        self.count(&job, 1);
        self.by_number.insert(id, job);
    }

    pub(crate) fn remove(&mut self, id: JobId) {
        if let Some(job) = self.by_number.remove(&id) {
            self.count(&job, -1);
        }
    }

    pub(crate) fn get(&self, id: JobId) -> Option<&Job> {
        self.by_number.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.by_number.iter().map(|(&id, job)| (id, job))
    }

    /// Has `change` change a job, unless it is gone.
    pub(crate) fn change<R>(&mut self, id: JobId, change: impl FnOnce(&mut Job) -> R) -> Option<R> {
        let job = self.by_number.get_mut(&id)?;
        let (before, was_sealed) = (job.unfinished(), job.sealed);
        let result = change(job);
        let (after, is_sealed) = (job.unfinished(), job.sealed);
        let (was_active, is_active) = (before > 0, after > 0);
        if job.options.streams {
            self.streamed = self.streamed + after - before;
        }
        self.active = self.active + usize::from(is_active) - usize::from(was_active);
        self.unsealed = self.unsealed + usize::from(was_sealed) - usize::from(is_sealed);
        Some(result)
    }

    fn count(&mut self, job: &Job, by: isize) {
        let add = |number: &mut usize| *number = number.saturating_add_signed(by);
        if job.unfinished() > 0 {
            add(&mut self.active);
        }
        if !job.sealed {
            add(&mut self.unsealed);
        }
        if job.options.streams {
            let unfinished = job.unfinished();
            self.streamed =
                if by > 0 { self.streamed + unfinished } else { self.streamed - unfinished };
        }
    }

    /// How many have tasks with workers or waiting for them.
    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// How many tasks of jobs that stream have not ended.
    pub(crate) fn streamed(&self) -> usize {
        usize::try_from(self.streamed).unwrap_or(usize::MAX)
    }

    /// Whether none gets more tasks.
    pub(crate) fn are_sealed(&self) -> bool {
        self.unsealed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::job::JobSpec;
    use crate::pool::options::TaskOptions;
    use crate::pool::task::{Outcome, Reason};

    fn jobs_of(count: u64) -> Jobs {
        let spec =
            JobSpec { function: b"", label: "", fail_fast: false, options: TaskOptions::DEFAULT };
        let mut jobs = Jobs::default();
        (0..count).for_each(|id| jobs.insert(id, Job::new(1, &spec)));
        jobs
    }

    #[test]
    fn the_numbers_are_those_of_the_jobs() {
        let mut jobs = jobs_of(4);
        assert!(!jobs.are_sealed());
        for id in 0..3 {
            jobs.change(id, |job| (job.add(), job.add()));
        }
        assert_eq!(jobs.active(), 3);
        let end = |job: &mut Job| {
            let ended = |index| (index, Outcome::Cancelled(Reason::Terminated));
            let none_is_back = |(index, outcome)| assert!(job.end(index, outcome).is_none());
            [0, 1].map(ended).into_iter().for_each(none_is_back);
        };
        jobs.change(1, end);
        jobs.remove(0);
        assert_eq!(jobs.active(), 1);
        for id in 1..4 {
            assert!(!jobs.are_sealed());
            jobs.change(id, |job| job.sealed = true);
        }
        assert!(jobs.are_sealed());
        assert_eq!(jobs.change(9, |_| ()), None);
    }
}
