//! What a worker did with one task.

/// One task, from the worker's taking it up to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The place in the pool of the worker that ran it.
    pub(crate) worker: u32,
    /// The process that ran it.
    pub(crate) pid: u32,
    /// The task's number within its pool.
    pub(crate) task: u64,
    /// The function that was called.
    pub label: String,
    /// How many items the task's chunk had.
    pub(crate) items: u32,
    /// When the worker took it up, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) start_ns: u64,
    /// When it was over, on the same clock.
    pub(crate) end_ns: u64,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a result.
    Done,
    /// With an error of its own, such as an exception or a panic.
    Failed,
    /// With the death of its worker.
    Crashed,
}

impl Span {
    /// How long the task took; 0 if it ends before it starts.
    #[must_use]
    pub(crate) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}
