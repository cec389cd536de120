//! Limits of tasks: the clock of those that may take so long and no longer, the end of workers whose
//! task is too late or was cancelled, and further tries.

use std::time::Duration;

use crate::os::clock::monotonic_ns;
use crate::os::exit_status::ExitStatus;
use crate::os::family::Descendant;
use crate::os::warning;
use crate::pool::lifecycle::kill;
use crate::pool::limit_clock::{NEVER, nanoseconds};
use crate::pool::state::State;
use crate::pool::task::{Body, CrashCause, JobId, Task};
use crate::pool::tries::POISON;
use crate::pool::worker_handle::InFlight;
use crate::shm::heap::NOBODY;

/// When to look again at a worker that is about to say what has become of its task.
const SOON: u64 = 1_000_000;
/// A worker that seems to be past its task for so many looks, and has sent no result, is damaged.
const MAX_DISPUTES: u32 = 100;

impl State {
    /// Warns and condemns the workers whose task has taken too long, and lets tasks be tried again whose
    /// time has come. Costs nothing until a limit may have been reached.
    pub(crate) fn look_at_limits(&mut self, now: u64) -> Vec<Descendant> {
        let mut killed_for = Vec::new();
        if !self.limits.begin_look(now) {
            return killed_for;
        }
        let resumed = self.resume_delayed(now);
        for index in 0..self.workers.len() {
            killed_for.extend(self.look_at_limit(index, now));
        }
        if resumed || !killed_for.is_empty() {
            self.work();
        }
        killed_for
    }

    fn resume_delayed(&mut self, now: u64) -> bool {
        let before = self.delayed.len();
        while let Some(first) = self.delayed.first_entry() {
            let (until, _) = *first.key();
            if until > now {
                self.limits.look_at(until);
                break;
            }
            let task = first.remove();
            self.begin_again(task);
        }
        self.delayed.len() < before
    }

    fn look_at_limit(&mut self, index: usize, now: u64) -> Option<Descendant> {
        let worker = &self.workers[index];
        if worker.killed.is_some() || worker.killed_for.is_some() {
            return None;
        }
        let limited = |task: &InFlight| {
            let options = self.jobs.get(task.job).filter(|_| task.timed)?.options;
            options.timeout.map(|timeout| (nanoseconds(timeout), nanoseconds(options.grace)))
        };
        // What waits behind the oldest may begin now.
        let behind = worker.in_flight().skip(1).filter_map(limited).map(|(timeout, _)| timeout);
        let mut next = behind.min().map_or(NEVER, |timeout| now.saturating_add(timeout));
        let oldest = worker.in_flight().next().and_then(|task| Some((task.id, limited(task)?)));
        let mut killed_for = None;
        if let Some((task, (timeout, grace))) = oldest {
            let worker = &mut self.workers[index];
            let due = match worker.clock(now) {
                None => now.saturating_add(timeout),
                Some(clock) => {
                    let late = clock.began.saturating_add(timeout);
                    let end = late.saturating_add(grace);
                    if now >= late && grace > 0 && !clock.warned {
                        clock.warned = true;
                        self.warn(index, task, timeout);
                        end
                    } else if now < late {
                        late
                    } else {
                        end
                    }
                }
            };
            if due <= now {
                killed_for = self.kill_task(index, CrashCause::TimedOut);
            }
            let again = self.workers[index].killed.is_none();
            let due = if due <= now { now + SOON } else { due };
            next = if again { next.min(due) } else { NEVER };
        }
        self.limits.look_at(next);
        killed_for
    }

    fn warn(&mut self, index: usize, task: u64, timeout: u64) {
        let worker = &self.workers[index];
        if worker.link().warn(task, timeout)
            && let Some(pidfd) = &worker.pidfd
        {
            warning::send(pidfd);
        }
    }

    /// Condemns a worker for the oldest task that it has, unless it is past that, and returns its process
    /// to be [killed](crate::os::family::kill) when the lock is free again. It cannot come to
    /// another one: what waits behind is taken back first.
    fn kill_task(&mut self, index: usize, why: CrashCause) -> Option<Descendant> {
        let behind = self.workers[index].load().saturating_sub(1);
        let tasks = self.workers.take_back(index, behind);
        self.wait_again(tasks);
        let worker = &mut self.workers[index];
        let oldest = worker.in_flight().next()?.id;
        if worker.load() > 1 {
            // It has begun the next, so a result is there, or it claims what it does not do.
            let now = monotonic_ns();
            let clock = worker.clock(now)?;
            clock.disputes += 1;
            if clock.disputes > MAX_DISPUTES {
                self.kill_for(index, CrashCause::Corrupt);
            }
            return None;
        }
        worker.killed = Some((oldest, why));
        self.stats.timeouts += u64::from(why == CrashCause::TimedOut);
        // If the zygote has not said yet which process it is, that is killed as soon as it does.
        let (pid, pidfd) = (worker.pid?, worker.pidfd.as_ref()?);
        match pidfd.try_clone() {
            Ok(pidfd) => Some(Descendant { pid, pidfd }),
            Err(_) => {
                // There is no descriptor for that, or for its children.
                kill(worker);
                None
            }
        }
    }

    /// Condemns the workers that run tasks of a job. None of its tasks waits any more.
    pub(crate) fn kill_job(&mut self, job: JobId) -> Vec<Descendant> {
        let runs = |state: &Self, index: usize| {
            let mut tasks = state.workers[index].in_flight();
            tasks.next().is_some_and(|task| task.job == job)
        };
        let chosen: Vec<_> = (0..self.workers.len()).filter(|&index| runs(self, index)).collect();
        chosen.into_iter().filter_map(|i| self.kill_task(i, CrashCause::Cancelled)).collect()
    }

    /// Whether a task that a worker died of is to be tried again. Its arguments are ready then.
    pub(crate) fn may_try_again_after(
        &mut self,
        task: &mut InFlight,
        cause: CrashCause,
        pid: u32,
        status: ExitStatus,
    ) -> bool {
        let Some(tries) = &mut task.tries else {
            return false;
        };
        if matches!(cause, CrashCause::Died | CrashCause::Corrupt) {
            tries.deaths.push((pid, status));
        }
        let is_poison = tries.deaths.len() >= POISON;
        let retry_on = self.jobs.get(task.job).map(|job| job.options.retry_on);
        let is_wanted = retry_on.is_some_and(|retry_on| match cause {
            CrashCause::Died | CrashCause::Corrupt | CrashCause::ZygoteDied => retry_on.deaths,
            CrashCause::TimedOut => retry_on.timeouts,
            CrashCause::Cancelled => false,
        });
        is_wanted && !is_poison && self.may_try_again(task)
    }

    /// Whether a task may be tried again. Its arguments are ready then.
    pub(crate) fn may_try_again(&mut self, task: &mut InFlight) -> bool {
        let is_wanted = self.jobs.get(task.job).is_some_and(|job| {
            let tried = task.tries.as_ref().map_or(u32::MAX, |tries| tries.again);
            tried < job.options.retries && !job.failed && !job.is_given_up()
        });
        let can_be = task
            .captured_handles
            .as_ref()
            .is_none_or(|captured_handles| captured_handles.serves_again());
        if !is_wanted || !can_be || self.refuses_work() {
            return false;
        }
        let arguments = task.tries.as_ref().and_then(|tries| tries.arguments.as_ref());
        let Some(arguments) = arguments else { return true };
        let fill = |out: &mut [u8]| out.copy_from_slice(arguments);
        let block = self.heap.lend(arguments.len(), NOBODY, fill);
        block.map(|block| task.body = Body::Block(block)).is_ok()
    }

    /// Has a task wait again that began and did not succeed.
    pub(crate) fn try_again(&mut self, mut task: InFlight) {
        let delay = self.jobs.get(task.job).map_or(Duration::ZERO, |job| job.options.retry_delay);
        let mut delay = delay;
        if let Some(tries) = &mut task.tries {
            tries.again += 1;
            delay = tries.delay(delay);
        }
        self.stats.retries += 1;
        let task = task.waiting_again();
        if delay.is_zero() {
            self.begin_again(task);
        } else {
            let until = monotonic_ns().saturating_add(nanoseconds(delay));
            self.limits.look_at(until);
            self.delayed.insert((until, task.id), task);
        }
    }

    /// Has a task wait that was begun before, where it belongs.
    fn begin_again(&mut self, task: Task) {
        // No other of its priority may be about any more.
        self.pending.now(task.priority);
        self.pending.push_front(task);
    }
}

#[cfg(test)]
mod tests;
