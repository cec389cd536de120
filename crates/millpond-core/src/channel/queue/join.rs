//! `task_done` and `join`: counting tasks as done, and waiting until all are.
//! [`tasks`](super::tasks) has the counters.

use std::fmt;
use std::io;
use std::time::Instant;

use crate::channel::queue::Queue;
use crate::channel::queue::control::TASKS;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::process_counts::{Counted, ProcessCount, ProcessCounts};
use crate::channel::queue::side::{NotEntered, SideGuard};
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::shm::presence::lives;
use crate::sync::deadline::{After, Deadline, RECHECK_INTERVAL};

/// Why no task was [done](Queue::task_done).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DoneError {
    /// There was none: it was called more often than there were items.
    TooMany,
    /// Another consumer was in the way until the deadline.
    Busy,
    /// A signal handler ran in this thread. The caller may try again.
    Interrupted,
}

impl fmt::Display for DoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "task_done was called more often than items were put",
            Self::Busy => "a process that takes an item does not go on",
            Self::Interrupted => "a signal interrupted the wait for who takes an item",
        })
    }
}

impl std::error::Error for DoneError {}

/// How waiting for all tasks ended without all of them being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// Some are unfinished at the deadline.
    TimedOut,
    /// A signal handler ran in this thread. The caller may go on waiting.
    Interrupted,
    /// Processes died that had taken items and had not said that they are done. Told once; these
    /// tasks count as done from now on.
    Lost {
        /// How many tasks.
        count: u64,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("there are unfinished tasks"),
            Self::Interrupted => f.write_str("a signal interrupted the wait for tasks"),
            Self::Lost { count } => {
                write!(f, "{count} tasks were lost: the processes that had taken them died")
            }
        }
    }
}

impl std::error::Error for JoinError {}

impl Memory {
    fn counts_of_tasks(&self) -> ProcessCounts<'_> {
        self.counts(Counted::Tasks)
    }

    /// Where the caller's tasks are counted, if they are; it is about to take items.
    #[inline]
    pub(super) fn place_for_tasks(
        &self,
        _get: &SideGuard<'_>,
    ) -> io::Result<Option<&ProcessCount>> {
        if !self.control().has(TASKS) {
            return Ok(None);
        }
        self.counts_of_tasks().place(ProcessId::current()).map(Some)
    }

    /// Notes in its place that the caller has just taken `n` items.
    #[inline]
    pub(super) fn note_taken(&self, _get: &SideGuard<'_>, place: Option<&ProcessCount>, n: u32) {
        if let Some(place) = place {
            crash_point!("queue: tasks are about to be noted");
            place.add(ProcessId::current(), n);
        }
    }

    /// Gives up what a dead holder of the get side had and did not note.
    pub(super) fn settle_tasks(&self, get: &SideGuard<'_>) {
        if !self.control().has(TASKS) {
            return;
        }
        self.control().tasks.settle(get.snapshot().count, self.counts_of_tasks());
    }

    /// Gives up the tasks of the dead.
    pub(super) fn look_for_lost_tasks(&self) {
        let control = self.control();
        let tasks = &control.tasks;
        // The liveness of processes is asked for outside of the guard.
        let counts = self.counts_of_tasks();
        let dead: Vec<_> = counts.holders().filter(|&holder| !lives(holder, tasks)).collect();
        // One that died in the guard may have tasks that nobody has noted yet: entering settles that.
        if dead.is_empty() && !control.get.holder_is_dead() {
            return;
        }
        // Should a living one be in the way, there is the next recheck.
        let Ok(get) = self.enter_get(Some(Instant::now() + RECHECK_INTERVAL)) else {
            return;
        };
        for holder in dead {
            tasks.give_up(holder, get.snapshot().count, counts);
        }
        drop(get);
        control.all_done.wake_all();
    }
}

impl Queue {
    /// How many items are in the queue or were taken and are not [done](Self::task_done).
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        let control = self.memory.control();
        // Done first: it only grows, so the difference is never negative.
        let done = control.tasks.done();
        control.put.count().saturating_sub(done)
    }

    /// Says that an item which was taken is done; waits for another consumer that is in the way
    /// until `deadline`, for ever without one.
    ///
    /// # Errors
    /// [`DoneError`]; nothing was done then.
    pub fn task_done(&self, deadline: Option<Instant>) -> Result<(), DoneError> {
        let control = self.memory.control();
        let tasks = &control.tasks;
        let get = self.memory.enter_get(deadline).map_err(|not| match not {
            NotEntered::TimedOut => DoneError::Busy,
            NotEntered::Interrupted => DoneError::Interrupted,
        })?;
        let done = tasks.done();
        if done >= control.put.count() {
            return Err(DoneError::TooMany);
        }
        self.memory.counts_of_tasks().subtract(ProcessId::current());
        crash_point!("queue: task is given back");
        tasks.finish(1);
        drop(get);
        crash_point!("queue: task is done");
        if done + 1 >= control.put.count() {
            control.all_done.wake_all();
        }
        Ok(())
    }

    /// Waits until all items that were put are done. The queue was created with
    /// [`Options::tasks`](crate::channel::queue::Options::tasks).
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn join(&self, deadline: Option<Instant>) -> Result<(), JoinError> {
        let control = self.memory.control();
        let mut wait = Deadline::new(deadline);
        loop {
            if let Some(joined) = self.joined() {
                return joined;
            }
            let prepared = control.all_done.prepare_wait();
            if let Some(joined) = self.joined() {
                return joined;
            }
            match prepared.sleep(&mut wait) {
                After::Look => {}
                After::LookForDead => self.memory.look_for_lost_tasks(),
                After::GiveUp => {
                    self.memory.look_for_lost_tasks();
                    return self.joined().unwrap_or(Err(JoinError::TimedOut));
                }
                After::Interrupted => return Err(JoinError::Interrupted),
            }
        }
    }

    fn joined(&self) -> Option<Result<(), JoinError>> {
        let finished = self.unfinished() == 0;
        let count = self.memory.control().tasks.tell();
        if count > 0 {
            return Some(Err(JoinError::Lost { count }));
        }
        finished.then_some(Ok(()))
    }
}
