//! `TaskOptions`, what a call asks of the pool beside its result: how long its tasks may take, how
//! often they are tried, and what comes first.

use std::time::Duration;

/// Which ends of a task are worth another try, if its job has [`retries`](TaskOptions::retries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// The death of the worker.
    pub deaths: bool,
    /// That the pool has killed the worker because the task took too long.
    pub timeouts: bool,
}

/// The options of a job, which are those of each of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOptions {
    /// Tasks of a higher one go first.
    pub priority: i32,
    /// How long a task may take, from when its worker begins it.
    pub timeout: Option<Duration>,
    /// How much longer it has after a warning, before its worker is killed. Without one if zero.
    pub grace: Duration,
    /// How many more times a task may be begun.
    pub retries: u32,
    /// What for.
    pub retry_on: RetryOn,
    /// Whether its tasks are added at their own pace, so that there is room for others however many
    /// they are.
    pub streams: bool,
    /// How long a task waits before its first retry; twice as long before each further one.
    pub retry_delay: Duration,
}

impl TaskOptions {
    /// No limits, no retries.
    pub const DEFAULT: Self = Self {
        priority: 0,
        timeout: None,
        grace: Duration::ZERO,
        retries: 0,
        retry_on: RetryOn { deaths: true, timeouts: false },
        streams: false,
        retry_delay: Duration::ZERO,
    };
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
