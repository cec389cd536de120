//! `State`, the state of a pool: its jobs and pending tasks, its workers and the tasks that each
//! has, and the outcomes.
//!
//! Everything here happens under the pool's one lock, which only threads of the owning process
//! take, and which no thread holds while it waits for another process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::pool::backoff::Backoff;
use crate::pool::captured_handles::{Arrived, CapturedHandles, Settlement};
use crate::pool::config::Config;
use crate::pool::function::Functions;
use crate::pool::job::{Job, JobSpec};
use crate::pool::jobs::Jobs;
use crate::pool::levels::Levels;
use crate::pool::limit_clock::LimitClock;
use crate::pool::pending::Pending;
use crate::pool::size::Size;
use crate::pool::stats::Stats;
use crate::pool::task::{Body, Breakage, JobId, NewTask, Outcome, Reason, Task, TaskId, Unwanted};
use crate::pool::tries::Tries;
use crate::pool::workers::Workers;
use crate::shm::draft::Filled;
use crate::shm::heap::{Heap, NOBODY};
use crate::trace::Timeline;

/// Where a pool stands in its life.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// Takes new jobs.
    Running,
    /// Takes no new jobs; ends when those that it has are over.
    Closing,
    /// Ends now.
    Terminating,
    /// Its workers cannot be set up; everything fails.
    Broken(Arc<Breakage>),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) config: Config,
    pub(crate) workers: Workers,
    pub(crate) size: Size,
    /// Whether the supervisor is to tend the pool: other workers are wanted.
    pub(crate) summons: bool,
    pub(crate) pending: Pending,
    pub(crate) levels: Levels,
    /// Tasks for which there is room, and that are about to be added.
    pub(crate) reserved: usize,
    pub(crate) jobs: Jobs,
    pub(crate) functions: Functions,
    pub(crate) heap: Heap,
    /// CapturedHandles to be settled when the lock is not held.
    pub(crate) claims: Vec<Settlement>,
    /// Jobs that are over and wanted that to be said.
    pub(crate) notified: VecDeque<JobId>,
    pub(crate) stats: Stats,
    pub(crate) timeline: Option<Timeline>,
    /// How many threads wait for something; while there are none, the supervisor works for them.
    pub(crate) waiters: usize,
    /// Workers that died before they were ready, one after the other.
    pub(crate) startup_failures: u32,
    /// Workers that were ready and ended without an order, one after the other, while none finished
    /// a task.
    pub(crate) idle_deaths: usize,
    /// Tags of the workers that the newest zygote may fork yet.
    pub(crate) grants: VecDeque<u64>,
    /// Whether a thread prepares for more of them.
    pub(crate) renewing: bool,
    /// Zygotes in a row that ended before they had forked a worker.
    pub(crate) failed_zygotes: u32,
    /// Before the next worker is asked for.
    pub(crate) backoff: Backoff,
    /// When the supervisor wakes by itself to look at workers, if it does.
    pub(crate) ticks_at: Option<Instant>,
    pub(crate) limits: LimitClock,
    /// Tasks that wait before they are tried again, and until when, in monotonic nanoseconds.
    pub(crate) delayed: BTreeMap<(u64, TaskId), Task>,
    /// No process is left, and none will come.
    pub(crate) ended: bool,
    last_task: TaskId,
    last_job: JobId,
    pub(crate) last_worker: u64,
}

impl State {
    pub(crate) fn new(config: Config, heap: Heap) -> Self {
        let pending = Pending::new(config.ageing);
        let timeline = config.traced.then(Timeline::default);
        Self {
            phase: Phase::Running,
            size: Size::new(config.processes),
            summons: false,
            config,
            workers: Workers::new(),
            pending,
            levels: Levels::default(),
            reserved: 0,
            jobs: Jobs::default(),
            functions: Functions::default(),
            heap,
            claims: Vec::new(),
            notified: VecDeque::new(),
            stats: Stats::default(),
            timeline,
            waiters: 0,
            startup_failures: 0,
            idle_deaths: 0,
            grants: VecDeque::new(),
            renewing: false,
            failed_zygotes: 0,
            backoff: Backoff::default(),
            ticks_at: None,
            limits: LimitClock::default(),
            delayed: BTreeMap::new(),
            ended: false,
            last_task: 0,
            last_job: 0,
            last_worker: 0,
        }
    }

    pub(crate) fn create_job(&mut self, spec: &JobSpec<'_>) -> JobId {
        let function = self.functions.begin_use(spec.function, spec.label);
        self.last_job += 1;
        self.jobs.insert(self.last_job, Job::new(function, spec));
        self.last_job
    }

    /// Adds a task to a job, to be dispatched later. Its arguments are in `filled` if they are
    /// [large](crate::pool::staged::is_large).
    pub(crate) fn add_task(
        &mut self,
        job_id: JobId,
        task: &mut NewTask<'_>,
        filled: Option<Filled>,
    ) {
        if self.refuses_work() {
            let reason = self.reason();
            self.add_outcome(job_id, Outcome::Cancelled(reason));
            return;
        }
        let added = self.jobs.change(job_id, |job| (job.add(), job.function, job.options));
        let Some((index, function, options)) = added else {
            return;
        };
        let keeps = options.retries > 0;
        let tries = keeps.then(|| {
            let arguments = filled.is_some().then(|| task.payload.to_vec());
            Box::new(Tries { arguments, ..Tries::default() })
        });
        let body = match filled {
            Some(filled) => Body::Block(self.heap.lend_filled(filled, NOBODY)),
            None => Body::Inline(task.payload.to_vec()),
        };
        self.last_task += 1;
        self.stats.submitted += 1;
        let priority = options.priority;
        let came_ns = self.pending.now(priority);
        self.pending.push_back(Task {
            id: self.last_task,
            job: job_id,
            index,
            function,
            op: task.op,
            items: task.items,
            parts: task.payload.count(),
            body,
            captured_handles: task.captured_handles.take(),
            timed: options.timeout.is_some(),
            tries,
            priority,
            came_ns,
        });
    }

    pub(crate) fn refuses_work(&self) -> bool {
        self.ended || matches!(self.phase, Phase::Terminating | Phase::Broken(_))
    }

    /// Adds a task to a job that has ended already.
    pub(crate) fn add_outcome(&mut self, job_id: JobId, outcome: Outcome) {
        if let Some(index) = self.jobs.change(job_id, Job::add) {
            self.end_task(job_id, index, outcome);
        }
    }

    /// Why the pool does not run tasks.
    pub(crate) fn reason(&self) -> Reason {
        match &self.phase {
            Phase::Broken(breakage) => Reason::Broken(Arc::clone(breakage)),
            _ => Reason::Terminated,
        }
    }

    pub(crate) fn seal(&mut self, job_id: JobId) {
        self.jobs.change(job_id, |job| job.sealed = true);
        self.job_may_be_over(job_id);
    }

    /// Notes how a task ended, unless its job is gone.
    pub(crate) fn end_task(&mut self, job_id: JobId, index: u64, outcome: Outcome) {
        let mut unwanted = Some(outcome);
        let end = |job: &mut Job| {
            let failed_before = job.failed;
            unwanted = unwanted.take().and_then(|outcome| job.end(index, outcome));
            job.failed && !failed_before
        };
        if self.jobs.change(job_id, end) == Some(true) {
            self.cancel_waiting(|task| task.job == job_id, &Reason::JobFailed);
        }
        unwanted.into_iter().for_each(|outcome| self.let_go(outcome));
        self.job_may_be_over(job_id);
    }

    /// Cancels the tasks that no worker has begun and that `chosen` chooses; returns how many.
    pub(crate) fn cancel_waiting(
        &mut self,
        chosen: impl Fn(&Task) -> bool,
        reason: &Reason,
    ) -> usize {
        let mut cancelled = 0;
        let (cancelled_early, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.delayed).into_iter().partition(|(_, task)| chosen(task));
        self.delayed = kept;
        for task in cancelled_early.into_values() {
            self.pending.push_back(task);
        }
        for index in 0..self.workers.len() {
            let mut kept = Vec::new();
            for task in self.workers.take_back(index, usize::MAX) {
                self.own_again(&task);
                kept.push(task);
            }
            for task in kept.into_iter().rev() {
                self.pending.push_front(task);
            }
        }
        for task in self.pending.take_all() {
            if !chosen(&task) {
                self.pending.push_back(task);
                continue;
            }
            cancelled += 1;
            if let Body::Block(block) = task.body {
                self.heap.free(block);
            }
            self.settle(task.captured_handles, Arrived::NOTHING);
            let cancel = |job: &mut Job| job.end(task.index, Outcome::Cancelled(reason.clone()));
            self.jobs.change(task.job, cancel);
            self.job_may_be_over(task.job);
        }
        cancelled
    }

    /// Notes what has arrived of a task's captured handles; the thread that releases the lock tells
    /// it.
    pub(crate) fn settle(
        &mut self,
        captured_handles: Option<Box<dyn CapturedHandles>>,
        arrived: Arrived,
    ) {
        self.claims.extend(
            captured_handles.map(|captured_handles| Settlement::new(captured_handles, arrived)),
        );
    }

    /// Drops an outcome that no caller will take; if there are handles in it, without the lock.
    pub(crate) fn let_go(&mut self, outcome: Outcome) {
        if matches!(&outcome, Outcome::Finished { payload, .. } if payload.has_attachments()) {
            self.settle(Some(Box::new(Unwanted(outcome))), Arrived::NOTHING);
        }
    }

    /// The arguments of a task that waits again are not in a worker's hands any more.
    pub(crate) fn own_again(&mut self, task: &Task) {
        if let Body::Block(block) = task.body {
            self.heap.hand_to(block, NOBODY);
        }
    }

    /// If the job is over: queues its notification if one was asked for, and frees what no call
    /// needs.
    pub(crate) fn job_may_be_over(&mut self, job_id: JobId) {
        let look = |job: &mut Job| {
            let is_told = job.is_over() && !job.decoding && std::mem::take(&mut job.notify);
            let is_gone = job.abandoned && job.sealed && job.unfinished() == 0;
            (is_told, is_gone.then_some(job.function))
        };
        let Some((is_told, gone)) = self.jobs.change(job_id, look) else {
            return;
        };
        if is_told {
            self.notified.push_back(job_id);
        }
        if let Some(function) = gone {
            self.jobs.remove(job_id);
            if let Some(forgotten) = self.functions.end_use(function) {
                self.workers.iter_mut().for_each(|m| m.forget(forgotten));
            }
        }
    }

    /// No caller will take the outcomes of this job any more. Its tasks run all the same.
    pub(crate) fn abandon(&mut self, job_id: JobId) {
        self.jobs.change(job_id, |job| job.decoding = false);
        self.discard(job_id);
        self.seal(job_id);
    }

    /// No caller will take the outcomes of this job any more, but tasks may be added to it.
    pub(crate) fn discard(&mut self, job_id: JobId) {
        let unwanted = self.jobs.change(job_id, Job::abandon).unwrap_or_default();
        unwanted.into_iter().for_each(|outcome| self.let_go(outcome));
        self.job_may_be_over(job_id);
    }

    /// Whether all that was asked for is done, and nothing more can be asked for.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.delayed.is_empty()
            && self.workers.is_idle()
            && self.jobs.are_sealed()
    }
}
