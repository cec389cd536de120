//! The workers of a pool, and which of them gets the next task: README.md, "Which worker".

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use crate::cpu::cpu_count;
use crate::pool::function::Functions;
use crate::pool::task::{CrashCause, Task, TaskId};
use crate::pool::worker_handle::{
    DeadWorker, InFlight, LOOK_NS, Listed, NotHanded, PREFETCH, STUCK_AFTER, WorkerHandle,
};
use crate::shm::heap::Heap;

/// How often the owner looks for workers whose task takes long, while tasks wait and workers are idle.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// How often it looks for workers that do not begin what they have, and for those that are back.
const RARE_LOOK_INTERVAL: Duration = STUCK_AFTER;
/// Tasks that take longer than this on average are worth a wake-up each, which costs some 10 µs.
const LONG_NS: u64 = 100_000;
/// How many more workers may work for each one whose task takes long.
const SPREAD: usize = 4;
/// The number of tasks over which the average is taken, about.
const AVERAGED: u64 = 32;

/// The workers of a pool. Choosing one for a task takes the same time however many there are.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<WorkerHandle>,
    /// Workers that may send something: they have tasks, or are being set up. And those that are
    /// away.
    busy: Vec<usize>,
    /// Workers without tasks, the one that worked last at the end. Some may be here no longer by
    /// right.
    idle: Vec<usize>,
    /// Workers that may get tasks behind the one that they are at, in turn. As for `idle`.
    open: VecDeque<usize>,
    /// Workers that have been handed tasks since the last notification.
    told: Vec<usize>,
    in_flight: usize,
    /// How many of those may be tried again.
    retriable: usize,
    /// How many tasks have been handed out so far.
    handed: u64,
    /// How many workers have tasks.
    working: usize,
    /// How many of them have been at one task for long.
    stuck: usize,
    /// How many workers do not look at their rings.
    away: usize,
    /// How many there are, once that matters: a pool soon ended never asks.
    cpus: OnceCell<usize>,
    average_ns: u64,
    last_look: Instant,
    /// Whether workers may have tasks that are not ready.
    has_early: bool,
    /// When more workers may be wanted, if tasks wait; `None` if there will be none.
    pub(crate) grows_at: Option<Instant>,
    /// How many tasks a worker may have at most. Few where some are to come before others.
    pub(crate) deepest: usize,
}

impl Deref for Workers {
    type Target = [WorkerHandle];

    fn deref(&self) -> &[WorkerHandle] {
        &self.workers
    }
}

impl DerefMut for Workers {
    fn deref_mut(&mut self) -> &mut [WorkerHandle] {
        &mut self.workers
    }
}

impl Workers {
    pub(crate) fn new() -> Self {
        Self {
            workers: Vec::new(),
            busy: Vec::new(),
            idle: Vec::new(),
            open: VecDeque::new(),
            told: Vec::new(),
            in_flight: 0,
            retriable: 0,
            handed: 0,
            working: 0,
            stuck: 0,
            away: 0,
            cpus: OnceCell::new(),
            // Until they are known.
            average_ns: LOOK_NS,
            last_look: Instant::now(),
            has_early: false,
            grows_at: None,
            deepest: PREFETCH,
        }
    }

    /// Adds a worker that is being set up.
    pub(crate) fn add(&mut self, mut worker: WorkerHandle) {
        worker.listed = Listed { busy: true, idle: true, open: false };
        self.busy.push(self.workers.len());
        self.idle.insert(0, self.workers.len());
        self.workers.push(worker);
    }

    /// Removes a worker, of which [what it left](Self::dead_worker) was taken.
    pub(crate) fn remove(&mut self, index: usize) -> WorkerHandle {
        let close_gap = |listed: &mut usize| {
            let stays = *listed != index;
            *listed -= usize::from(*listed > index);
            stays
        };
        self.busy.retain_mut(close_gap);
        self.idle.retain_mut(close_gap);
        self.open.retain_mut(close_gap);
        let worker = self.workers.remove(index);
        self.stuck -= usize::from(worker.is_stuck);
        self.away -= usize::from(worker.is_away());
        worker
    }

    /// Whether no worker has a task.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// How many tasks have been handed out, whatever became of them.
    pub(crate) fn handed(&self) -> u64 {
        self.handed
    }

    /// Whether a task that a worker has may have to be tried again.
    pub(crate) fn may_be_tried_again(&self) -> bool {
        self.retriable > 0
    }

    /// Whether a task waits behind another one.
    pub(crate) fn has_waiting(&self) -> bool {
        self.in_flight > self.working
    }

    /// The worker at this place in the list of those that may send something.
    pub(crate) fn busy(&self, at: usize) -> Option<usize> {
        self.busy.get(at).copied()
    }

    /// Takes the worker at this place off that list, if it has no task, is set up, and is not away.
    pub(crate) fn rest(&mut self, at: usize) -> bool {
        let index = self.busy[at];
        let worker = &mut self.workers[index];
        let has_returned = worker.is_away() && worker.has_returned();
        self.away -= usize::from(has_returned);
        let rests = worker.ready && worker.load() == 0 && !worker.is_away();
        if rests {
            self.busy.swap_remove(at);
            worker.listed.busy = false;
            self.stuck -= usize::from(std::mem::take(&mut worker.is_stuck));
            if !std::mem::replace(&mut worker.listed.idle, true) {
                self.idle.push(index);
            }
        }
        rests
    }

    /// The worker that is to get the next task; `None` if the task is to wait. `is_awaited` says
    /// that the threads of this process which use the pool sleep.
    pub(crate) fn next(&mut self, is_awaited: bool) -> Option<usize> {
        if self.may_wake(is_awaited) {
            return self.next_idle();
        }
        let awake = self.next_open();
        let ready = awake.or_else(|| if self.may_wake(true) { self.next_idle() } else { None });
        ready.or_else(|| self.next_early())
    }

    /// While no worker is ready, one of those that are being set up gets a task, so that it can begin
    /// without a further wake-up of both sides.
    fn next_early(&self) -> Option<usize> {
        if self.workers.iter().any(|worker| worker.ready) {
            return None;
        }
        self.workers.iter().position(|worker| worker.load() == 0 && worker.accepts())
    }

    /// Whether a task may be with a worker that is being set up.
    pub(crate) fn has_early(&self) -> bool {
        self.has_early
    }

    /// Takes the oldest task back that a worker has which is being set up, if a ready one can have
    /// it: what the other is set up with may wait for what the task does.
    pub(crate) fn take_early(&mut self, has_pending: bool) -> Option<Task> {
        if !self.has_early {
            return None;
        }
        let can_have = self.next_idle().is_some() || has_pending && self.next_open().is_some();
        if !can_have {
            return None;
        }
        let oldest = |worker: &WorkerHandle| worker.in_flight().next().map(|task| task.id);
        let is_early = |index: &usize| !self.workers[*index].ready;
        let early = self.busy.iter().copied().filter(is_early);
        let mut early: Vec<_> =
            early.filter_map(|index| Some((oldest(&self.workers[index])?, index))).collect();
        early.sort_unstable();
        self.has_early = !early.is_empty();
        // One of which nothing comes back has become ready, and begun.
        early.into_iter().find_map(|(_, index)| self.take_back(index, 1).pop())
    }

    /// Whether there is an idle worker that may work.
    fn may_wake(&mut self, is_awaited: bool) -> bool {
        (self.are_long() || self.working < self.others(is_awaited) + SPREAD * self.stuck)
            && self.next_idle().is_some()
    }

    /// How many workers may work at short tasks.
    fn others(&self, is_awaited: bool) -> usize {
        self.cpus().saturating_sub(usize::from(!is_awaited)).max(1)
    }

    /// Whether each task is worth a wake-up.
    pub(crate) fn are_long(&self) -> bool {
        self.average_ns >= LONG_NS
    }

    /// Whether tasks wait that more workers would begin.
    pub(crate) fn lacks_workers(&mut self, has_pending: bool) -> bool {
        (has_pending || self.has_waiting())
            && self.next_idle().is_none()
            && (self.are_long() || self.working < self.cpus() + SPREAD * self.stuck)
    }

    /// How many tasks the workers have.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many workers may be at short tasks at once.
    pub(crate) fn cpus(&self) -> usize {
        *self.cpus.get_or_init(cpu_count)
    }

    /// How many workers have tasks.
    pub(crate) fn working(&self) -> usize {
        self.working
    }

    /// How many tasks a worker may have: what it does until the next look, and one more.
    fn depth(&self) -> usize {
        let ahead = LOOK_NS / self.average_ns.max(1);
        usize::try_from(ahead).unwrap_or(PREFETCH).saturating_add(1).clamp(2, self.deepest)
    }

    fn next_idle(&mut self) -> Option<usize> {
        while let Some(&index) = self.idle.last() {
            let worker = &mut self.workers[index];
            if worker.load() == 0 && worker.ready && !worker.is_away() && worker.accepts() {
                return Some(index);
            }
            worker.listed.idle = false;
            self.idle.pop();
        }
        None
    }

    fn next_open(&mut self) -> Option<usize> {
        let depth = self.depth();
        while let Some(&index) = self.open.front() {
            let worker = &mut self.workers[index];
            let is_held_up = worker.is_stuck || worker.is_full || !worker.ready;
            if (1..depth).contains(&worker.load()) && worker.accepts() && !is_held_up {
                return Some(index);
            }
            worker.listed.open = false;
            self.open.pop_front();
        }
        None
    }

    /// The worker with most tasks, if another one may share them.
    pub(crate) fn busiest(&mut self, is_awaited: bool) -> Option<usize> {
        if !self.has_waiting() || !self.may_wake(is_awaited) {
            return None;
        }
        self.busy.iter().copied().max_by_key(|&index| self.workers[index].load())
    }

    /// Notes how long a task took.
    pub(crate) fn took(&mut self, nanoseconds: u64) {
        let weighed = self.average_ns * (AVERAGED - 1) + nanoseconds.min(LOOK_NS);
        self.average_ns = weighed / AVERAGED;
    }

    /// When to [look](Self::look) next, if there is a need.
    pub(crate) fn next_look(&mut self, has_pending: bool) -> Option<Instant> {
        if (has_pending || self.has_waiting()) && self.next_idle().is_some() {
            return Some(self.last_look + LOOK_INTERVAL);
        }
        if let Some(at) = self.grows_at
            && (has_pending || self.has_waiting())
        {
            return Some(at.max(self.last_look + LOOK_INTERVAL));
        }
        // One that becomes ready says so.
        let has_others = self.workers.len() > 1 && self.workers.iter().any(|worker| worker.ready);
        let is_away = |&index: &usize| {
            let worker = &self.workers[index];
            worker.is_away() && worker.load() > 0
        };
        // Whether or not one is idle: no thread takes in results while no task waits behind another.
        let may_not_begin = has_others && self.working > self.stuck;
        let waits = has_others && (self.has_waiting() || self.busy.iter().any(is_away));
        let is_missed = self.away > 0 && (has_pending || waits);
        (may_not_begin || is_missed).then(|| self.last_look + RARE_LOOK_INTERVAL)
    }

    /// Looks for workers that have been at one task for long, or do not begin it, if it is time for
    /// that; returns the tasks that wait for those, in order, if another worker can have them.
    pub(crate) fn look(&mut self, has_pending: bool) -> Vec<Task> {
        let at = if self.has_waiting() {
            Some(self.last_look + LOOK_INTERVAL)
        } else {
            self.next_look(has_pending)
        };
        let Some(at) = at else { return Vec::new() };
        let now = Instant::now();
        if now < at { Vec::new() } else { self.look_at(now) }
    }

    fn look_at(&mut self, now: Instant) -> Vec<Task> {
        self.last_look = now;
        (self.stuck, self.away) = (0, 0);
        let mut held_up = Vec::new();
        for &index in &self.busy {
            let worker = &mut self.workers[index];
            worker.look(now);
            self.stuck += usize::from(worker.is_stuck);
            self.away += usize::from(worker.is_away());
            if worker.is_stuck && (worker.load() >= 2 || worker.is_away()) {
                held_up.push(index);
            }
        }
        if self.next_idle().or_else(|| self.next_open()).is_none() {
            return Vec::new();
        }
        let behind = held_up.into_iter().flat_map(|index| self.take_back(index, usize::MAX));
        let mut behind: Vec<_> = behind.collect();
        // They are numbered as they came.
        behind.sort_unstable_by_key(|task| task.id);
        behind
    }

    fn change<R>(&mut self, index: usize, change: impl FnOnce(&mut WorkerHandle) -> R) -> R {
        let worker = &mut self.workers[index];
        let (before, retriable) = (worker.load(), worker.retriable());
        let result = change(worker);
        let after = worker.load();
        self.retriable = self.retriable + worker.retriable() - retriable;
        self.in_flight = self.in_flight + after - before;
        self.working = self.working + usize::from(after > 0) - usize::from(before > 0);
        result
    }

    /// See [`WorkerHandle::hand`].
    pub(crate) fn hand(
        &mut self,
        index: usize,
        task: Task,
        functions: &Functions,
        heap: &mut Heap,
    ) -> Result<(), NotHanded> {
        if self.working == 0 {
            // It is not too late for what begins now.
            self.last_look = Instant::now();
        }
        let handed = self.change(index, |worker| worker.hand(task, functions, heap));
        // Whatever came of it, something may have been put into its ring.
        self.told.push(index);
        let worker = &mut self.workers[index];
        self.has_early |= !worker.ready;
        if let Err(NotHanded::RingFull(_)) = handed {
            worker.is_full = true;
            // Without a task it is not held up for long, but others come first.
            if self.idle.last() == Some(&index) {
                self.idle.rotate_right(1);
            }
            return handed;
        }
        handed?;
        self.handed += 1;
        let worker = &mut self.workers[index];
        if !std::mem::replace(&mut worker.listed.busy, true) {
            self.busy.push(index);
        }
        if self.idle.last() == Some(&index) {
            // When it has worked it is to come first.
            worker.listed.idle = false;
            self.idle.pop();
        }
        if self.open.front() == Some(&index) {
            self.open.rotate_left(1);
        }
        self.offer(index);
        Ok(())
    }

    fn offer(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if worker.load() > 0 && !std::mem::replace(&mut worker.listed.open, true) {
            self.open.push_back(index);
        }
    }

    /// Wakes the workers that have been handed tasks.
    pub(crate) fn notify(&mut self) {
        for index in self.told.drain(..) {
            self.workers[index].notify();
        }
    }

    /// See [`WorkerHandle::finished`].
    pub(crate) fn finished(&mut self, index: usize, id: TaskId) -> Result<InFlight, CrashCause> {
        let task = self.change(index, |worker| worker.finished(id))?;
        let worker = &mut self.workers[index];
        worker.is_full = false;
        self.stuck -= usize::from(std::mem::take(&mut worker.is_stuck));
        self.away -= usize::from(worker.is_away());
        worker.is_here();
        self.offer(index);
        Ok(task)
    }

    /// See [`WorkerHandle::take_back`].
    pub(crate) fn take_back(&mut self, index: usize, count: usize) -> Vec<Task> {
        let tasks = self.change(index, |worker| worker.take_back(count));
        let worker = &mut self.workers[index];
        if worker.load() == 0 {
            self.stuck -= usize::from(std::mem::take(&mut worker.is_stuck));
            if !std::mem::replace(&mut worker.listed.idle, true) {
                self.idle.push(index);
            }
        }
        self.offer(index);
        tasks
    }

    /// See [`WorkerHandle::dead_worker`].
    pub(crate) fn dead_worker(&mut self, index: usize) -> DeadWorker {
        self.change(index, WorkerHandle::dead_worker)
    }
}

#[cfg(test)]
mod tests;
