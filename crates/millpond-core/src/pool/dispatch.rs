//! Handing tasks out and taking results in.

use std::time::Instant;

use crate::pool::luggage::Arrived;
use crate::pool::member::{InFlight, Member, Reported};
use crate::pool::state::{Phase, State};
use crate::pool::task::{CrashCause, FORMAT, HANDLES, Outcome};
use crate::pool::wire::Report;
use crate::trace::{self, Span};

impl State {
    /// Takes in what the workers sent, hands out what waits, and evens the load out. Returns
    /// whether anything was taken in.
    pub(crate) fn work(&mut self) -> bool {
        let took = self.drain();
        self.dispatch();
        self.balance();
        self.dismiss_when_done();
        self.members.iter_mut().for_each(Member::announce);
        took
    }

    fn drain(&mut self) -> bool {
        let mut took = false;
        for index in 0..self.members.len() {
            took |= self.drain_member(index);
        }
        took
    }

    /// Takes in all that one worker sent.
    pub(crate) fn drain_member(&mut self, index: usize) -> bool {
        let mut took = false;
        loop {
            match self.members[index].receive() {
                Ok(Some(reported)) => {
                    took = true;
                    if let Err(cause) = self.accept(index, reported) {
                        self.condemn(index, cause);
                        return true;
                    }
                }
                Ok(None) => break,
                Err(cause) => {
                    self.condemn(index, cause);
                    return true;
                }
            }
        }
        if took {
            self.members[index].link().unblock();
        }
        took
    }

    fn accept(&mut self, index: usize, reported: Reported) -> Result<(), CrashCause> {
        let Reported { head, mut payload } = reported;
        if head.status & HANDLES != 0 && !payload.open_handles() {
            return Err(CrashCause::Corrupt);
        }
        let member = &mut self.members[index];
        match head.report {
            Report::Ready => {
                member.ready = true;
                self.stillborn = 0;
            }
            Report::Unfit => self.unfit(head.status, payload),
            Report::Finished => {
                let mut task = member.finished(head.task)?;
                self.settle(task.luggage.take(), Arrived::ALL);
                let is_done = head.status & !FORMAT == 0;
                let outcome = if is_done { trace::Outcome::Done } else { trace::Outcome::Failed };
                self.trace(index, &task, head.began, head.ended, outcome);
                self.stats.finished += 1;
                let outcome = Outcome::Finished { status: head.status, payload };
                self.end_task(task.job, task.index, outcome);
            }
        }
        Ok(())
    }

    /// Notes in the timeline, if there is one, how a task ended.
    pub(crate) fn trace(
        &mut self,
        index: usize,
        task: &InFlight,
        start_ns: u64,
        end_ns: u64,
        outcome: trace::Outcome,
    ) {
        let member = &self.members[index];
        if let Some(timeline) = &mut self.timeline {
            timeline.spans.push(Span {
                worker: member.place,
                pid: member.pid.unwrap_or(0),
                task: task.id,
                label: self.functions.label(task.function).to_string(),
                items: task.items,
                start_ns,
                end_ns,
                outcome,
            });
        }
    }

    fn dispatch(&mut self) {
        // Workers whose rings have no room now.
        let mut full = Vec::new();
        while let Some(task) = self.pending.pop_front() {
            // The least loaded; among equals the one that was busy last, which may still be awake.
            let accepting =
                self.members.iter_mut().filter(|m| m.accepts() && !full.contains(&m.number));
            let best = accepting.min_by_key(|m| (m.load(), std::cmp::Reverse(m.used)));
            let Some(member) = best else {
                self.pending.push_front(task);
                return;
            };
            if member.load() == 0 {
                member.used = Some(Instant::now());
            }
            if let Err(task) = member.hand(task, &self.functions, &mut self.heap) {
                full.push(member.number);
                self.pending.push_front(task);
            }
        }
    }

    /// Moves tasks that nobody has begun from the busiest workers to those that have none.
    fn balance(&mut self) {
        if !self.pending.is_empty() {
            return;
        }
        for idle in 0..self.members.len() {
            if self.members[idle].load() > 0 || !self.members[idle].accepts() {
                continue;
            }
            let busiest = (0..self.members.len()).max_by_key(|&i| self.members[i].load());
            let Some(busiest) = busiest.filter(|&i| self.members[i].load() >= 2) else {
                return;
            };
            let half = self.members[busiest].load() / 2;
            for task in self.members[busiest].take_back(half) {
                self.own_again(&task);
                match self.members[idle].hand(task, &self.functions, &mut self.heap) {
                    Ok(()) => self.stats.moved += 1,
                    Err(task) => self.pending.push_back(task),
                }
            }
        }
    }

    fn dismiss_when_done(&mut self) {
        if matches!(self.phase, Phase::Closing) && self.is_idle() {
            for member in &mut self.members {
                member.dismiss();
            }
        }
    }

    /// Whether workers will need somebody of this process before long.
    pub(crate) fn needs_care(&self) -> bool {
        !self.pending.is_empty() || self.members.iter().any(|m| m.load() >= 2)
    }

    /// How many jobs have tasks with workers or waiting for them.
    pub(crate) fn active_jobs(&self) -> usize {
        self.jobs.values().filter(|job| job.unfinished() > 0).count()
    }
}
