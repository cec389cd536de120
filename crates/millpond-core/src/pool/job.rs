//! Jobs: what one call of the pool asked for, and what has come of it so far.

use std::collections::VecDeque;

use crate::pool::task::{FunctionId, Outcome};

/// What a job wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSpec<'a> {
    /// The function as the binding encoded it.
    pub function: &'a [u8],
    /// What to call it in messages.
    pub label: &'a str,
    /// Whether the job is over as soon as one of its tasks crashes.
    pub fail_fast: bool,
    /// Whether to say so in [`Pool::wait_notified`](crate::pool::Pool::wait_notified) when the job
    /// is over.
    pub notify: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The end of the job.
    All,
    /// The outcome of one task.
    Index(u64),
    /// The outcome of any task that was not taken yet.
    Any,
    /// That at most so many tasks have not ended.
    Unfinished(u64),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tasks that were added to it.
    pub submitted: u64,
    /// Those of them that have not ended.
    pub unfinished: u64,
    /// Nothing more will happen in it.
    pub is_over: bool,
}

/// The place of one task's outcome.
#[derive(Debug)]
enum Slot {
    Waiting,
    Ended(Outcome),
    Taken,
}

/// The state of a job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) function: FunctionId,
    pub(crate) fail_fast: bool,
    pub(crate) notify: bool,
    /// Outcomes from the task number `base` on.
    outcomes: VecDeque<Slot>,
    base: u64,
    /// Tasks that have ended, in that order. The outcomes of some were taken since, out of order.
    ended: VecDeque<u64>,
    /// How many of them were.
    stale: usize,
    pub(crate) submitted: u64,
    unfinished: u64,
    pub(crate) sealed: bool,
    /// A task of a job that fails fast crashed.
    pub(crate) failed: bool,
    /// Nobody will ask for the outcomes.
    pub(crate) abandoned: bool,
    /// How many entries of `ended` were looked at to drop some.
    #[cfg(test)]
    steps: usize,
}

impl Job {
    pub(crate) fn new(function: FunctionId, spec: &JobSpec<'_>) -> Self {
        Self {
            function,
            fail_fast: spec.fail_fast,
            notify: spec.notify,
            outcomes: VecDeque::new(),
            base: 0,
            ended: VecDeque::new(),
            stale: 0,
            submitted: 0,
            unfinished: 0,
            sealed: false,
            failed: false,
            abandoned: false,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Makes room for one more task and returns its index.
    pub(crate) fn add(&mut self) -> u64 {
        self.outcomes.push_back(Slot::Waiting);
        self.submitted += 1;
        self.unfinished += 1;
        self.submitted - 1
    }

    /// Notes how a task ended. The first outcome of a task stands; one that nobody will ask for comes
    /// back.
    pub(crate) fn end(&mut self, index: u64, outcome: Outcome) -> Option<Outcome> {
        if self.fail_fast && matches!(outcome, Outcome::Crashed(_)) {
            self.failed = true;
        }
        let offset = index.checked_sub(self.base).and_then(|o| usize::try_from(o).ok());
        let Some(slot @ Slot::Waiting) = offset.and_then(|o| self.outcomes.get_mut(o)) else {
            return Some(outcome);
        };
        self.unfinished -= 1;
        if self.abandoned {
            *slot = Slot::Taken;
            self.trim();
            return Some(outcome);
        }
        *slot = Slot::Ended(outcome);
        self.ended.push_back(index);
        None
    }

    /// Lets go of the outcomes to come, and gives back those that there are.
    pub(crate) fn abandon(&mut self) -> Vec<Outcome> {
        self.abandoned = true;
        let outcomes = self.take_all().into_iter().flatten().collect();
        self.trim();
        outcomes
    }

    /// What was taken from the front needs no place any more.
    fn trim(&mut self) {
        while let Some(Slot::Taken) = self.outcomes.front() {
            self.outcomes.pop_front();
            self.base += 1;
        }
    }

    /// Forgets in which order the tasks ended.
    fn forget_order(&mut self) {
        self.ended.clear();
        self.stale = 0;
    }

    /// Drops from `ended` what was taken: at its front, so that the first one was not, and all of it
    /// where it is the greater part. So a task costs the same however many have ended.
    fn trim_order(&mut self) {
        while let Some(&first) = self.ended.front()
            && self.is_taken(first)
        {
            self.ended.pop_front();
            self.stale -= 1;
        }
        if self.stale > self.ended.len() / 2 {
            #[cfg(test)]
            {
                self.steps += self.ended.len();
            }
            let ended = std::mem::take(&mut self.ended);
            self.ended = ended.into_iter().filter(|&index| !self.is_taken(index)).collect();
            self.stale = 0;
        }
    }

    fn is_taken(&self, index: u64) -> bool {
        let offset = index.checked_sub(self.base).and_then(|o| usize::try_from(o).ok());
        offset.is_none_or(|o| matches!(self.outcomes.get(o), Some(Slot::Taken) | None))
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { submitted: self.submitted, unfinished: self.unfinished, is_over: self.is_over() }
    }

    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// Whether nothing more will happen that somebody could wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.sealed && (self.unfinished == 0 || self.failed)
    }

    pub(crate) fn is_reached(&self, target: Target) -> bool {
        match target {
            Target::All => self.is_over(),
            Target::Index(index) => self.has(index) || (self.sealed && index >= self.submitted),
            Target::Any => !self.ended.is_empty() || self.is_over(),
            Target::Unfinished(most) => self.unfinished <= most || self.is_over(),
        }
    }

    fn has(&self, index: u64) -> bool {
        match index.checked_sub(self.base).and_then(|o| usize::try_from(o).ok()) {
            // Below the base: taken already.
            None => true,
            Some(offset) => {
                matches!(self.outcomes.get(offset), Some(Slot::Ended(_) | Slot::Taken))
            }
        }
    }

    /// Takes the outcome of one task; `None` if it is not there (yet, or any more).
    pub(crate) fn take(&mut self, index: u64) -> Option<Outcome> {
        let offset = usize::try_from(index.checked_sub(self.base)?).ok()?;
        let slot = self.outcomes.get_mut(offset)?;
        if !matches!(slot, Slot::Ended(_)) {
            return None;
        }
        let Slot::Ended(outcome) = std::mem::replace(slot, Slot::Taken) else {
            return None;
        };
        self.stale += 1;
        self.trim();
        self.trim_order();
        Some(outcome)
    }

    /// Takes the outcome of the task that ended first among those not taken.
    pub(crate) fn take_next(&mut self) -> Option<(u64, Outcome)> {
        let index = *self.ended.front()?;
        self.take(index).map(|outcome| (index, outcome))
    }

    /// Takes all outcomes in the order of the tasks; only for jobs of which none was taken.
    pub(crate) fn take_all(&mut self) -> Vec<Option<Outcome>> {
        self.forget_order();
        let outcome = |slot: &mut Slot| match std::mem::replace(slot, Slot::Taken) {
            Slot::Ended(outcome) => Some(outcome),
            Slot::Waiting => {
                *slot = Slot::Waiting;
                None
            }
            Slot::Taken => None,
        };
        self.outcomes.iter_mut().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::task::Reason;

    fn job(tasks: u64) -> Job {
        let spec = JobSpec { function: b"", label: "", fail_fast: false, notify: false };
        let mut job = Job::new(1, &spec);
        for _ in 0..tasks {
            job.add();
        }
        job
    }

    fn outcome() -> Outcome {
        Outcome::Cancelled(Reason::Terminated)
    }

    #[test]
    fn an_outcome_that_was_taken_is_not_ended_again() {
        let mut job = job(2);
        job.end(1, outcome());
        assert!(job.take(1).is_some());
        job.end(1, outcome());
        assert_eq!(job.unfinished(), 1);
        assert!(job.take(1).is_none());
        job.end(0, outcome());
        assert_eq!(job.unfinished(), 0);
    }

    #[test]
    fn nothing_is_kept_of_what_nobody_will_ask_for() {
        let mut job = job(3);
        job.end(1, outcome());
        job.abandon();
        job.end(0, outcome());
        assert_eq!(job.base, 2);
        job.add();
        job.end(3, outcome());
        job.end(2, outcome());
        assert!(job.outcomes.is_empty() && job.ended.is_empty());
        assert_eq!((job.unfinished(), job.base), (0, 4));
    }

    #[test]
    fn a_wait_for_room_ends_when_enough_tasks_have() {
        let mut job = job(3);
        assert!(!job.is_reached(Target::Unfinished(1)));
        job.end(0, outcome());
        job.end(2, outcome());
        assert!(job.is_reached(Target::Unfinished(1)));
        assert!(!job.is_reached(Target::Unfinished(0)));
    }

    #[test]
    fn a_task_taken_out_of_order_costs_the_same_however_many_have_ended() {
        for count in [1_000_usize, 100_000] {
            let tasks = count as u64;
            let mut job = job(tasks);
            (0..tasks).for_each(|index| assert!(job.end(index, outcome()).is_none()));
            // The last first, but for one that holds the front.
            (1..tasks).rev().for_each(|index| drop(job.take(index).expect("not taken yet")));
            assert!(job.steps <= 3 * count, "{}", job.steps);
            assert!(job.ended.len() <= 3, "{}", job.ended.len());
            assert_eq!(job.take_next().map(|(index, _)| index), Some(0));
            assert!(job.take_next().is_none() && job.ended.is_empty());
        }
    }

    #[test]
    fn nothing_is_kept_of_what_was_taken_out_of_order() {
        let mut job = job(100);
        for index in (0..100).rev() {
            job.end(index, outcome());
        }
        while job.take_next().is_some() {}
        assert!(job.outcomes.is_empty());
        assert_eq!(job.base, 100);
    }
}
