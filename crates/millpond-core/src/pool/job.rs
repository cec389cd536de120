//! `Job`, one call of a pool: its function, the number of its tasks, and the outcomes so far.

use std::collections::VecDeque;

use crate::pool::options::TaskOptions;
use crate::pool::task::{FunctionId, Outcome, Reason};

/// What a job wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSpec<'a> {
    /// The function as the binding encoded it.
    pub function: &'a [u8],
    /// What to call it in messages.
    pub label: &'a str,
    /// Whether the job is over as soon as one of its tasks crashes.
    pub fail_fast: bool,
    /// What its tasks are to be given.
    pub options: TaskOptions,
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
    /// That at most this number of tasks have not ended.
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
enum OutcomeSlot {
    Waiting,
    Ended(Outcome),
    Taken,
}

/// The state of a job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) function: FunctionId,
    pub(crate) fail_fast: bool,
    pub(crate) options: TaskOptions,
    pub(crate) notify: bool,
    /// Outcomes from the task number `base` on.
    outcomes: VecDeque<OutcomeSlot>,
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
    /// No caller will take the outcomes.
    pub(crate) abandoned: bool,
    /// It was cancelled as a whole: that is its outcome, whatever its tasks' are.
    given_up: bool,
    /// A thread is decoding the outcomes, which are not here meanwhile.
    pub(crate) decoding: bool,
    /// How many entries of `ended` were looked at to drop some.
    #[cfg(test)]
    steps: usize,
}

impl Job {
    pub(crate) fn new(function: FunctionId, spec: &JobSpec<'_>) -> Self {
        Self {
            function,
            fail_fast: spec.fail_fast,
            options: spec.options,
            notify: false,
            outcomes: VecDeque::new(),
            base: 0,
            ended: VecDeque::new(),
            stale: 0,
            submitted: 0,
            unfinished: 0,
            sealed: false,
            failed: false,
            abandoned: false,
            given_up: false,
            decoding: false,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Makes room for one more task and returns its index.
    pub(crate) fn add(&mut self) -> u64 {
        self.outcomes.push_back(OutcomeSlot::Waiting);
        self.submitted += 1;
        self.unfinished += 1;
        self.submitted - 1
    }

    /// Notes how a task ended. The first outcome of a task stands; one that no caller will take is
    /// returned.
    pub(crate) fn end(&mut self, index: u64, outcome: Outcome) -> Option<Outcome> {
        if self.fail_fast && matches!(outcome, Outcome::Crashed(_)) {
            self.failed = true;
        }
        let offset = index.checked_sub(self.base).and_then(|o| usize::try_from(o).ok());
        let Some(slot @ OutcomeSlot::Waiting) = offset.and_then(|o| self.outcomes.get_mut(o))
        else {
            return Some(outcome);
        };
        self.unfinished -= 1;
        if self.abandoned {
            *slot = OutcomeSlot::Taken;
            self.trim();
            return Some(outcome);
        }
        *slot = OutcomeSlot::Ended(outcome);
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
        while let Some(OutcomeSlot::Taken) = self.outcomes.front() {
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
        offset.is_none_or(|o| matches!(self.outcomes.get(o), Some(OutcomeSlot::Taken) | None))
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { submitted: self.submitted, unfinished: self.unfinished, is_over: self.is_over() }
    }

    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// Whether nothing more will happen that a thread could wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.sealed && (self.unfinished == 0 || self.failed || self.given_up)
    }

    /// Whether it was cancelled as a whole.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Makes cancellation its outcome, unless it is over.
    pub(crate) fn give_up(&mut self) -> bool {
        let gives_up = !self.is_over();
        self.given_up |= gives_up;
        gives_up
    }

    /// Takes all outcomes of a job that is over, to be decoded; `None` if another thread has them, or
    /// if `may` refuses one of them. Then [`end_decoding`](Self::end_decoding), or `abandon`.
    pub(crate) fn begin_decoding(
        &mut self,
        may: impl Fn(&Outcome) -> bool,
    ) -> Option<Vec<Option<Outcome>>> {
        let refuses =
            |slot: &OutcomeSlot| matches!(slot, OutcomeSlot::Ended(outcome) if !may(outcome));
        if self.decoding || self.abandoned || !self.is_over() {
            return None;
        }
        if self.given_up {
            self.decoding = true;
            return Some(vec![Some(Outcome::Cancelled(Reason::Cancelled))]);
        }
        if self.outcomes.iter().any(refuses) {
            return None;
        }
        self.decoding = true;
        Some(self.take_all())
    }

    /// Takes back the outcomes whose decoding was interrupted, in their places.
    pub(crate) fn end_decoding(&mut self, rest: &mut [Option<Outcome>]) {
        self.decoding = false;
        for (slot, outcome) in self.outcomes.iter_mut().zip(rest) {
            if let Some(outcome) = outcome.take() {
                *slot = OutcomeSlot::Ended(outcome);
            }
        }
    }

    /// Takes back the outcome of one task, whose decoding was interrupted.
    pub(crate) fn put_back(&mut self, index: u64, outcome: Outcome) {
        while index < self.base {
            self.outcomes.push_front(OutcomeSlot::Taken);
            self.base -= 1;
        }
        let offset = usize::try_from(index - self.base).ok();
        let Some(slot) = offset.and_then(|offset| self.outcomes.get_mut(offset)) else {
            return;
        };
        *slot = OutcomeSlot::Ended(outcome);
        match self.ended.contains(&index) {
            true => self.stale -= 1,
            false => self.ended.push_front(index),
        }
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
                matches!(
                    self.outcomes.get(offset),
                    Some(OutcomeSlot::Ended(_) | OutcomeSlot::Taken)
                )
            }
        }
    }

    /// Takes the outcome of one task; `None` if it is not there (yet, or any more).
    pub(crate) fn take(&mut self, index: u64) -> Option<Outcome> {
        let offset = usize::try_from(index.checked_sub(self.base)?).ok()?;
        let slot = self.outcomes.get_mut(offset)?;
        if !matches!(slot, OutcomeSlot::Ended(_)) {
            return None;
        }
        let OutcomeSlot::Ended(outcome) = std::mem::replace(slot, OutcomeSlot::Taken) else {
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
        let outcome = |slot: &mut OutcomeSlot| match std::mem::replace(slot, OutcomeSlot::Taken) {
            OutcomeSlot::Ended(outcome) => Some(outcome),
            OutcomeSlot::Waiting => {
                *slot = OutcomeSlot::Waiting;
                None
            }
            OutcomeSlot::Taken => None,
        };
        self.outcomes.iter_mut().map(outcome).collect()
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
