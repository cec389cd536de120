//! Dispatch: putting tasks into the workers' rings, and draining their rings of results.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::os::clock::monotonic_ns;
use crate::pool::captured_handles::Arrived;
use crate::pool::payload::Payload;
use crate::pool::state::{Phase, State};
use crate::pool::task::{AGAIN, Body, CrashCause, FORMAT, Outcome, Task, Wanted};
use crate::pool::wire::Report;
use crate::pool::worker_handle::{
    InFlight, NotHanded, PREFETCH, Reported, STUCK_AFTER, WorkerHandle,
};
use crate::trace::{self, Span};

/// How many tasks a worker may have where some are to come before others, which take them back.
const DEEPEST_RANKED: usize = 8;

impl State {
    /// Takes in what the workers sent, hands out what waits, and evens the load out. Returns
    /// whether anything was taken in.
    pub(crate) fn work(&mut self) -> bool {
        let took = self.drain();
        let held_up = self.workers.look(!self.pending.is_empty());
        self.wait_again(held_up);
        if self.pending.is_ranked() {
            self.let_pass();
        }
        if self.workers.are_long() {
            // Before what came later is handed out.
            self.balance();
        }
        while let Some(task) = self.workers.take_early(!self.pending.is_empty()) {
            self.wait_again(vec![task]);
            self.dispatch();
        }
        self.dispatch();
        self.balance();
        if self.size.may_grow() {
            self.grow();
        }
        self.dismiss_when_done();
        self.workers.notify();
        took
    }

    fn drain(&mut self) -> bool {
        let mut took = false;
        let mut at = 0;
        while let Some(index) = self.workers.busy(at) {
            took |= self.drain_worker(index);
            at += usize::from(!self.workers.rest(at));
        }
        took
    }

    /// Takes in all that one worker sent.
    pub(crate) fn drain_worker(&mut self, index: usize) -> bool {
        if self.workers[index].killed_for.is_some() {
            // What it sent is not to be believed, now or at the next look.
            return false;
        }
        let mut took = false;
        loop {
            match self.workers[index].receive() {
                Ok(Some(reported)) => {
                    took = true;
                    if let Err(cause) = self.accept(index, reported) {
                        self.kill_for(index, cause);
                        return true;
                    }
                }
                Ok(None) => break,
                Err(cause) => {
                    self.kill_for(index, cause);
                    return true;
                }
            }
        }
        if took {
            self.workers[index].link().unblock();
        }
        took
    }

    fn accept(&mut self, index: usize, reported: Reported) -> Result<(), CrashCause> {
        let Reported { head, payload } = reported;
        let worker = &mut self.workers[index];
        match head.report {
            // Each is said once, and before all else.
            Report::Ready | Report::Unfit if worker.ready => return Err(CrashCause::Corrupt),
            Report::Ready => {
                worker.ready = true;
                worker.idle_since = monotonic_ns();
                self.startup_failures = 0;
            }
            Report::Unfit => {
                let payload = payload.unwrap_or_else(|_| Payload::single(Vec::new()));
                self.unfit(head.status, payload);
            }
            Report::Finished => {
                let mut task = self.workers.finished(index, head.task)?;
                self.workers[index].idle_since = head.ended;
                self.workers.took(head.ended.saturating_sub(head.began));
                if let Body::Block(block) = task.body {
                    // It is back, unless the worker keeps something that reads it.
                    self.heap.look_at(block);
                }
                let is_done = head.status & !(FORMAT | AGAIN) == 0;
                let outcome = if is_done { trace::Outcome::Done } else { trace::Outcome::Failed };
                self.trace(index, &task, head.began, head.ended, outcome);
                self.idle_deaths = 0;
                let status = head.status & !AGAIN;
                let outcome = match payload {
                    Ok(payload) => Outcome::Finished { status, payload: Arc::new(payload) },
                    Err(error) => Outcome::NoMemory { wanted: Wanted::Result, error },
                };
                if head.status & AGAIN != 0 && self.may_try_again(&mut task) {
                    self.let_go(outcome);
                    self.try_again(task);
                } else {
                    self.stats.finished += 1;
                    if task.came_ns > 0 {
                        self.levels.finished(task.priority, task.came_ns, head.began);
                    }
                    self.settle(task.captured_handles.take(), Arrived::ALL);
                    self.end_task(task.job, task.index, outcome);
                }
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
        let worker = &self.workers[index];
        if let Some(timeline) = &mut self.timeline {
            timeline.spans.push(Span {
                worker: worker.place,
                pid: worker.pid.unwrap_or(0),
                task: task.id,
                label: self.functions.label(task.function).to_string(),
                items: task.items,
                start_ns,
                end_ns,
                outcome,
            });
        }
    }

    /// Notes that the supervisor is to look at a task with a limit, which may begin now.
    fn limit(&mut self, task: &Task) {
        if let Some(timeout) = self.jobs.get(task.job).and_then(|job| job.options.timeout) {
            self.limits.look_after(monotonic_ns(), timeout);
        }
    }

    /// Takes back what comes after what waits; the next workers that are free get that first.
    fn let_pass(&mut self) {
        if self.pending.is_empty() && self.workers.is_idle() {
            self.pending.end_ranking();
            self.workers.deepest = PREFETCH;
            return;
        }
        self.workers.deepest = DEEPEST_RANKED;
        let Some(first) = self.pending.first_rank() else { return };
        for index in 0..self.workers.len() {
            let after =
                |task: &&InFlight| self.pending.rank(task.priority, task.came_ns, task.id) > first;
            let count = self.workers[index].in_flight().rev().take_while(after).count();
            if count > 0 {
                let tasks = self.workers.take_back(index, count);
                self.wait_again(tasks);
            }
        }
    }

    fn dispatch(&mut self) {
        let mut refusals = 0;
        while let Some(task) = self.pending.pop_front() {
            let next = self.workers.next(self.waiters > 0);
            let Some(index) = next.filter(|_| refusals <= self.workers.len()) else {
                self.pending.push_front(task);
                return;
            };
            if task.timed {
                self.limit(&task);
            }
            match self.workers.hand(index, task, &self.functions, &mut self.heap) {
                Ok(()) => {}
                Err(NotHanded::RingFull(task)) => {
                    refusals += 1;
                    self.pending.push_front(task);
                }
                Err(NotHanded::NoMemory(task, error)) => {
                    let can = |m: &WorkerHandle| m.accepts() && m.knows(task.function);
                    match self.workers.iter().position(can) {
                        Some(knowing) => {
                            refusals += usize::from(!self.hand_back(knowing, task));
                        }
                        None => self.fail_for_want_of_memory(task, error),
                    }
                }
            }
        }
    }

    /// Ends a task whose function can be sent to no worker.
    fn fail_for_want_of_memory(&mut self, task: Task, error: io::Error) {
        if let Body::Block(block) = task.body {
            self.heap.free(block);
        }
        self.settle(task.captured_handles, Arrived::NOTHING);
        let outcome = Outcome::NoMemory { wanted: Wanted::Function, error };
        self.end_task(task.job, task.index, outcome);
    }

    /// Has idle workers share what waits behind the busiest, if others may work.
    fn balance(&mut self) {
        while (self.pending.is_empty() || self.workers.are_long())
            && let Some(busiest) = self.workers.busiest(self.waiters > 0)
        {
            let working = self.workers.working();
            let waiting = self.workers[busiest].load() - 1;
            let tasks = self.workers.take_back(busiest, waiting);
            self.wait_again(tasks);
            self.dispatch();
            if self.workers.working() == working {
                return;
            }
        }
    }

    /// Puts tasks that were taken back in front of those that wait.
    pub(crate) fn wait_again(&mut self, tasks: Vec<Task>) {
        self.stats.moved += tasks.len() as u64;
        for task in tasks.into_iter().rev() {
            self.own_again(&task);
            self.pending.push_front(task);
        }
    }

    /// Gives a task to a worker that knows its function; false if it waits instead.
    fn hand_back(&mut self, index: usize, task: Task) -> bool {
        if task.timed {
            self.limit(&task);
        }
        match self.workers.hand(index, task, &self.functions, &mut self.heap) {
            Ok(()) => true,
            Err(NotHanded::RingFull(task) | NotHanded::NoMemory(task, _)) => {
                self.pending.push_front(task);
                false
            }
        }
    }

    fn dismiss_when_done(&mut self) {
        if matches!(self.phase, Phase::Closing) && self.is_idle() {
            for worker in &mut *self.workers {
                worker.dismiss();
                worker.notify();
            }
        }
    }

    /// When a thread has to look for tasks that take long; `None` if no look is needed.
    pub(crate) fn next_look(&mut self) -> Option<Instant> {
        self.workers.next_look(!self.pending.is_empty())
    }

    /// When the supervisor is to wake by itself for a look.
    pub(crate) fn next_tick(&mut self, now: Instant) -> Option<Instant> {
        match self.next_look() {
            Some(look) if self.waiters == 0 => Some(look),
            // A thread that waits looks itself. To wake now and then all the same costs less than to be
            // woken each time that no thread waits for a moment.
            Some(_) => Some(now + STUCK_AFTER),
            // Nor is it to be woken for each task of a program that has one at a time.
            None => self.ticks_at.filter(|&at| at > now),
        }
    }

    /// Whether tasks are pending, wait behind others in workers' rings or for workers that are being
    /// set up, or may have to be tried again, so that a thread has to drive the pool.
    pub(crate) fn needs_care(&self) -> bool {
        !self.pending.is_empty()
            || self.workers.has_waiting()
            || self.workers.has_early()
            || self.workers.may_be_tried_again()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::channel::link::WorkerEnd;
    use crate::os::exit_status::ExitStatus;
    use crate::pool::config::Config;
    use crate::pool::control_block::ControlBlock;
    use crate::pool::job::JobSpec;
    use crate::pool::options::TaskOptions;
    use crate::pool::payload::{Part, Parts};
    use crate::pool::task::NewTask;
    use crate::pool::zygote::client::ZygoteEvent;
    use crate::shm::heap::Heap;

    fn state_with_one_worker() -> (ControlBlock, State) {
        let config = Config { processes: 1.into(), ..Config::default() };
        let control_block = ControlBlock::create().expect("control block");
        let heap = Heap::new(control_block.segment()).expect("a heap");
        let (worker, _) = WorkerHandle::new(1, 0, 0, 1, &config).expect("a link");
        let mut state = State::new(config, heap);
        state.workers.add(worker);
        (control_block, state)
    }

    #[test]
    fn a_worker_is_busy_until_its_result_has_come() {
        let (_control_block, mut state) = state_with_one_worker();
        assert!(state.workers[0].is_busy(), "it is being set up");
        state.workers[0].ready = true;
        let spec =
            JobSpec { function: b"f", label: "f", fail_fast: false, options: TaskOptions::DEFAULT };
        let job = state.create_job(&spec);
        let argument: [&dyn Part; 1] = [&&b"x"[..]];
        let mut task =
            NewTask { op: 0, items: 1, payload: Parts(&argument), captured_handles: None };
        state.add_task(job, &mut task, None);
        state.work();
        assert!(!state.workers[0].is_busy(), "it has a task, but does not run it");
        let worker = &mut state.workers[0];
        let id = worker.in_flight().next().expect("the task").id;
        let fd = worker.link().as_fd().try_clone_to_owned().expect("a descriptor");
        WorkerEnd::attach(fd).expect("the worker's end").hold(Some(id), 1);
        assert!(worker.is_busy());
        // It has not come as far as to note that it holds nothing any more.
        worker.finished(id).expect("the task");
        assert!(!worker.is_busy());
    }

    #[test]
    fn long_tasks_begin_in_the_order_in_which_they_came() {
        let (_control_block, mut state) = state_with_one_worker();
        let (second, _) = WorkerHandle::new(2, 0, 1, 1, &state.config).expect("a link");
        state.workers.add(second);
        state.workers[0].ready = true;
        let spec =
            JobSpec { function: b"f", label: "f", fail_fast: false, options: TaskOptions::DEFAULT };
        let job = state.create_job(&spec);
        let argument: [&dyn Part; 1] = [&&b"x"[..]];
        for _ in 0..9 {
            let payload = Parts(&argument[..]);
            let mut task = NewTask { op: 0, items: 1, payload, captured_handles: None };
            state.add_task(job, &mut task, None);
            state.work();
        }
        let first_of = |state: &State, worker: usize| {
            state.workers[worker].in_flight().next().map(|task| task.id)
        };
        assert!(state.workers[0].load() > 1 && first_of(&state, 1).is_none());
        let first = first_of(&state, 0).expect("a task");
        state.workers[1].ready = true;
        state.work();
        assert_eq!(first_of(&state, 0), Some(first));
        assert_eq!(first_of(&state, 1), Some(first + 1), "not one that came later");
    }

    #[test]
    fn what_a_worker_damaged_is_looked_at_once() {
        let (_control_block, mut state) = state_with_one_worker();
        state.workers[0].ready = true;
        let spec =
            JobSpec { function: b"f", label: "f", fail_fast: false, options: TaskOptions::DEFAULT };
        let job = state.create_job(&spec);
        let argument: [&dyn Part; 1] = [&&b"x"[..]];
        for _ in 0..3 {
            let payload = Parts(&argument[..]);
            let mut task = NewTask { op: 0, items: 1, payload, captured_handles: None };
            state.add_task(job, &mut task, None);
        }
        assert!(!state.work());
        assert!(state.needs_care(), "the tasks are with the worker");
        // Both rings' cursors and all else before the rings.
        let junk = [0x5b; 4096];
        assert_eq!(rustix::io::pwrite(state.workers[0].link().as_fd(), &junk, 0), Ok(4096));
        assert!(state.work(), "the damage is news");
        assert_eq!(state.workers[0].killed_for, Some(CrashCause::Corrupt));
        assert!(!state.work(), "and is not news again");
    }

    #[test]
    fn a_worker_that_sleeps_hears_that_the_pool_ends() {
        let (_control_block, state) = state_with_one_worker();
        let link = state.workers[0].link().as_fd().try_clone_to_owned().expect("a descriptor");
        let worker = WorkerEnd::attach(link).expect("the same layout");
        let seen = worker.event_count().listen();
        assert!(!worker.is_ending());
        state.end_workers();
        assert!(worker.is_ending() && worker.event_count().notified_since(seen));
    }

    #[test]
    fn workers_that_end_untold_are_replaced_ever_more_slowly() {
        let (_control_block, mut state) = state_with_one_worker();
        let mut number = 1;
        let mut die_idle = |state: &mut State| {
            let worker = state.workers.last_mut().expect("a worker");
            (worker.ready, worker.pid) = (true, Some(1));
            state.on_zygote_event(ZygoteEvent::Exited {
                worker: number,
                status: ExitStatus::Exited(0),
            });
            number += 1;
            let (next, _) = WorkerHandle::new(number, 0, 0, 1, &state.config).expect("a link");
            state.workers.add(next);
            let (pid, pidfd) = (1, None);
            state.on_zygote_event(ZygoteEvent::Started { worker: number, pid, pidfd });
        };
        for _ in 0..10 {
            die_idle(&mut state);
        }
        assert!(state.backoff.end().is_none(), "a few may be killed");
        for _ in 0..10 {
            die_idle(&mut state);
        }
        let first = state.backoff.end().expect("a pause");
        die_idle(&mut state);
        let next = state.backoff.end().expect("a pause");
        assert!(next > first);
        state.backoff.look(next);
        assert!(state.backoff.end().is_none(), "nobody is to wake for what is over");
        assert!(state.backoff.is_repeated());
        assert!(matches!(state.phase, Phase::Running));
    }
}
