//! The lifecycle of workers: asking zygotes for them, noting that they are ready, and what the pool
//! does when one dies.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use crate::os::clock::monotonic_ns;
use crate::os::exit_status::ExitStatus;
use crate::pool::backoff::Backoff;
use crate::pool::captured_handles::Arrived;
use crate::pool::payload::Payload;
use crate::pool::state::{Phase, State};
use crate::pool::task::{Breakage, Crash, CrashCause, Outcome, Reason};
use crate::pool::worker_handle::{DeadWorker, WorkerHandle};
use crate::pool::zygote::client::{ZygoteClient, ZygoteEvent};
use crate::trace::{self, Life};

/// Requests that the zygote has not answered are kept below what a socket holds.
const MAX_STARTING: usize = 32;
/// The pool is broken when more zygotes than this in a row have ended before they forked a worker.
const MAX_FAILED_ZYGOTES: u32 = 5;
/// The pool is broken after 6 workers in a row that ended by themselves before they were ready,
/// each of which counts [`KILLED_COUNTS`]. One that SIGKILL or SIGTERM ended counts 1, so 120 of
/// those do the same: the cause may lie outside of the program.
const MAX_STARTUP_FAILURES: u32 = 6 * KILLED_COUNTS;
const KILLED_COUNTS: u32 = 20;

/// When more workers in a row than this and the pool's size have become ready, and have ended
/// without an order before one has finished a task, the next is asked for after a pause. Otherwise
/// the pool might fork as fast as the system can.
const MAX_IDLE_DEATHS: usize = 16;

/// Sends SIGKILL.
pub(crate) fn kill(worker: &WorkerHandle) {
    if let Some(pidfd) = &worker.pidfd {
        // It may be dead already.
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
}

impl State {
    /// When the pool ends: sends SIGTERM to workers that run a task or are being set up. Idle ones
    /// end by themselves, so that what they hold is not given back.
    pub(crate) fn interrupt_busy(&self) {
        for worker in &*self.workers {
            if let Some(pidfd) = worker.pidfd.as_ref().filter(|_| worker.is_busy()) {
                // It may be dead; and where this is not allowed, the zygote does it later.
                let _ = pidfd_send_signal(pidfd, Signal::TERM);
            }
        }
    }

    /// Tells the workers to take no more tasks. One that ignores SIGTERM may be asleep.
    pub(crate) fn end_workers(&self) {
        self.workers.iter().for_each(|worker| worker.link().end());
    }

    /// Lets the newest zygote fork as many workers as are missing.
    pub(crate) fn grant_missing(&mut self) {
        let missing = self.missing();
        self.grants.resize(missing, 0);
    }

    /// How many workers are missing that the newest zygote may not fork, if there are any; they are being
    /// prepared for from now on.
    pub(crate) fn begin_renewal(&mut self) -> Option<usize> {
        if self.renewing || !self.grants.is_empty() || !self.wants_worker() {
            return None;
        }
        self.renewing = true;
        Some(self.missing())
    }

    /// Asks the newest zygote for as many workers as are missing and it may fork.
    pub(crate) fn recruit(&mut self, zygote: &ZygoteClient) {
        while self.wants_worker()
            && let Some(tag) = self.grants.pop_front()
        {
            self.last_worker += 1;
            let number = self.last_worker;
            let place = self.free_place();
            let worker = WorkerHandle::new(number, tag, place, zygote.generation, &self.config);
            let started = worker.and_then(|(worker, bundles)| {
                zygote.request_worker(number, tag, worker.link().as_fd(), bundles.as_fd())?;
                Ok(worker)
            });
            match started {
                Ok(worker) => self.workers.add(worker),
                // EPIPE: the zygote is gone, which the supervisor is about to learn.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                Err(error) => return self.cannot_start(error),
            }
        }
    }

    fn wants_worker(&self) -> bool {
        let wanted = match self.phase {
            Phase::Running => true,
            Phase::Closing => !self.is_idle() || self.is_beginning(),
            _ => false,
        };
        let starting = self.workers.iter().filter(|m| m.pid.is_none()).count();
        wanted
            && self.backoff.end().is_none()
            && starting < MAX_STARTING
            && self.staying() < self.wanted()
    }

    /// Whether it has not yet asked for all workers that it begins with. They set themselves up, with
    /// the program's initializer, even if the pool is closed before there was a zygote.
    fn is_beginning(&self) -> bool {
        self.last_worker < self.size.beginning.min(self.wanted()) as u64
    }

    /// Whether as many workers as are wanted have a pid.
    pub(crate) fn have_started(&self) -> bool {
        let started = self.workers.iter().filter(|m| m.pid.is_some() && !m.surplus).count();
        started >= self.wanted()
    }

    fn free_place(&self) -> u32 {
        let taken = |place| self.workers.iter().any(|m| m.place == place);
        (0..).find(|&place| !taken(place)).unwrap_or(u32::MAX)
    }

    /// Without any worker the pool is broken; with some it goes on with fewer, and tries again
    /// after a pause.
    fn cannot_start(&mut self, error: io::Error) {
        if self.workers.is_empty() {
            self.break_down(Breakage::CannotStart(error));
        }
        self.backoff.lengthen();
    }

    /// No zygote could be made for workers that take others' places. By the time that this is known the
    /// last of the others may have died too, so a pool without workers is broken the second time only.
    pub(crate) fn cannot_renew(&mut self, error: io::Error) {
        if self.backoff.is_repeated() {
            self.cannot_start(error);
        } else {
            self.backoff.lengthen();
        }
    }

    /// Deals with what the zygote said.
    pub(crate) fn on_zygote_event(&mut self, event: ZygoteEvent) {
        match event {
            ZygoteEvent::Started { worker, pid, pidfd } => {
                if let Some(worker) = self.workers.iter_mut().find(|m| m.number == worker) {
                    worker.pid = Some(pid);
                    worker.pidfd = pidfd;
                    self.stats.workers_started += 1;
                    if self.idle_deaths == 0 {
                        self.backoff = Backoff::default();
                    }
                    self.failed_zygotes = 0;
                    if worker.killed_for.is_some() || worker.killed.is_some() {
                        kill(worker);
                    }
                }
            }
            ZygoteEvent::Exited { worker, status } => self.reap(worker, status, CrashCause::Died),
            ZygoteEvent::Failed { worker, error } => {
                self.reap(worker, ExitStatus::Unknown, CrashCause::Died);
                self.cannot_start(error);
            }
            ZygoteEvent::Gone => {}
        }
    }

    /// A zygote is dead, and so are its workers.
    pub(crate) fn reap_generation(&mut self, zygote: &ZygoteClient) {
        if !zygote.is_dismissed() {
            self.failed_zygotes += 1;
            if self.failed_zygotes > MAX_FAILED_ZYGOTES {
                let message = "the process that forks the workers ends before it has forked one";
                self.break_down(Breakage::CannotStart(io::Error::other(message)));
            }
        }
        let killed = ExitStatus::Signaled { signal: 9, core_dumped: false };
        let of_it = |worker: &&WorkerHandle| worker.generation == zygote.generation;
        while let Some(worker) = self.workers.iter().find(of_it) {
            let number = worker.number;
            self.reap(number, killed, CrashCause::ZygoteDied);
        }
    }

    /// A worker is dead: takes in what it had sent, fails the task that it was running, and lets
    /// others do what it had not begun.
    fn reap(&mut self, worker: u64, status: ExitStatus, cause: CrashCause) {
        let find = |state: &Self| state.workers.iter().position(|m| m.number == worker);
        let Some(index) = find(self) else {
            return;
        };
        self.drain_worker(index);
        let Some(index) = find(self) else {
            return;
        };
        let DeadWorker { begun, untouched, last, is_damaged } = self.workers.dead_worker(index);
        let killed = self.workers[index].killed;
        let worker_pid = self.workers[index].pid.unwrap_or(0);
        let now = monotonic_ns();
        let cause = match self.workers[index].killed_for {
            Some(cause) => cause,
            // It had noticed itself, or died of what did the damage.
            None if is_damaged && cause == CrashCause::Died => CrashCause::Corrupt,
            None => cause,
        };
        let ran_task = !begun.is_empty();
        for mut task in begun {
            let of_kill = killed.filter(|&(id, _)| id == task.id).map(|(_, why)| why);
            let arrived = if last.task == Some(task.id) {
                Arrived { items: last.item, pieces: last.arrived }
            } else {
                // Of what the worker does not say that it was at, it may have used anything.
                Arrived::ALL
            };
            let began = (last.task == Some(task.id) && last.began > 0).then(|| last.began.min(now));
            self.trace(index, &task, began.unwrap_or(now), now, trace::Outcome::Crashed);
            if of_kill == Some(CrashCause::Cancelled) {
                self.settle(task.captured_handles.take(), arrived);
                self.end_task(task.job, task.index, Outcome::Cancelled(Reason::Cancelled));
                continue;
            }
            self.stats.crashes += 1;
            // It may have died by itself first.
            let by_us =
                matches!(status, ExitStatus::Signaled { signal: 9, .. } | ExitStatus::Unknown);
            let cause = of_kill.filter(|_| by_us).unwrap_or(cause);
            if self.may_try_again_after(&mut task, cause, worker_pid, status) {
                self.try_again(task);
                continue;
            }
            self.settle(task.captured_handles.take(), arrived);
            let crash = Crash {
                pid: worker_pid,
                status,
                function: self.functions.label(task.function),
                index: task.index,
                items: task.items,
                item: last.item,
                item_count: last.item_count,
                cause,
                op: task.op,
                ran: began.map(|began| Duration::from_nanos(now - began)),
                timeout: self.jobs.get(task.job).and_then(|job| job.options.timeout),
                deaths: task.tries.take().map(|tries| tries.deaths).unwrap_or_default(),
            };
            self.end_task(task.job, task.index, Outcome::Crashed(Arc::new(crash)));
        }
        for task in untouched.into_iter().rev() {
            self.own_again(&task);
            self.pending.push_front(task);
        }
        self.heap.reclaim(worker);
        let worker = self.workers.remove(index);
        self.record_life(&worker, status, now);
        // A worker that has done as many tasks as it may exits with status 0.
        let leaves = worker.leaving || matches!(status, ExitStatus::Exited(0));
        let expected = killed.is_some() || (leaves && !ran_task);
        if self.config.fragile && worker.pid.is_some() && !expected {
            self.break_down(Breakage::WorkerDied { pid: worker_pid, status });
        }
        let is_told = worker.leaving && worker.killed_for.is_none();
        if worker.ready && !is_told && !ran_task && worker.last_finished == 0 {
            self.idle_deaths += 1;
            if self.idle_deaths > MAX_IDLE_DEATHS + self.size.bounds.most {
                self.backoff.lengthen();
            }
        }
        let is_its_own_end = matches!(cause, CrashCause::Died | CrashCause::Corrupt);
        if !worker.ready && worker.pid.is_some() && is_its_own_end {
            let killed = matches!(status, ExitStatus::Signaled { signal: 9 | 15, .. });
            self.startup_failures += if killed { 1 } else { KILLED_COUNTS };
            if self.startup_failures >= MAX_STARTUP_FAILURES {
                self.break_down(Breakage::WorkersDie(status));
            }
        }
        if worker.ready && !worker.leaving && matches!(self.phase, Phase::Running | Phase::Closing)
        {
            self.stats.replacements += 1;
        }
        if worker.surplus && worker.pid.is_some() {
            self.surplus_left();
        }
        self.stats.remember_end(worker.number, status);
    }

    fn record_life(&mut self, worker: &WorkerHandle, status: ExitStatus, now: u64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.lives.push(Life {
                worker: worker.place,
                pid: worker.pid.unwrap_or(0),
                start_ns: worker.started_ns,
                end_ns: Some(now),
                end: Some(status.to_string()),
            });
        }
    }

    /// Kills a worker that the pool cannot go on with; its death is dealt with when the zygote
    /// reports it.
    pub(crate) fn kill_for(&mut self, index: usize, cause: CrashCause) {
        let worker = &mut self.workers[index];
        worker.leaving = true;
        worker.killed_for = Some(cause);
        kill(worker);
    }

    /// A worker said that it, and any other, cannot be set up.
    pub(crate) fn unfit(&mut self, status: u8, payload: Payload) {
        self.break_down(Breakage::Unfit { status, payload });
    }

    fn break_down(&mut self, breakage: Breakage) {
        if matches!(self.phase, Phase::Running | Phase::Closing) {
            self.phase = Phase::Broken(Arc::new(breakage));
            self.give_up();
        }
    }

    /// Ends now: whatever is not done will not be.
    pub(crate) fn terminate(&mut self) {
        if !matches!(self.phase, Phase::Broken(_)) {
            self.phase = Phase::Terminating;
        }
        self.give_up();
    }

    /// Cancels all tasks that no worker has begun, and gives running ones the same outcome.
    fn give_up(&mut self) {
        let reason = self.reason();
        self.cancel_waiting(|_| true, &reason);
        let running: Vec<_> = self
            .workers
            .iter()
            .flat_map(WorkerHandle::in_flight)
            .map(|t| (t.job, t.index))
            .collect();
        for (job, index) in running {
            self.end_task(job, index, Outcome::Cancelled(reason.clone()));
        }
        let unsealed: Vec<_> =
            self.jobs.iter().filter(|(_, job)| !job.sealed).map(|(id, _)| id).collect();
        unsealed.into_iter().for_each(|id| self.seal(id));
    }

    /// Whether the zygotes are to end now.
    pub(crate) fn wants_zygotes_to_quit(&self) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Closing => self.is_idle() && self.workers.is_empty() && !self.is_beginning(),
            Phase::Terminating | Phase::Broken(_) => true,
        }
    }

    /// No zygote is left, and none will be made.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.give_up();
    }

    /// There is no new zygote to be had.
    pub(crate) fn orphan(&mut self, error: io::Error) {
        self.break_down(Breakage::CannotStart(error));
        self.end();
    }
}
