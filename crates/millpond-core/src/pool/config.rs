//! The configuration of a pool.

use std::time::Duration;

use crate::pool::size::Bounds;

/// Settings of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How many workers it keeps.
    pub processes: Bounds,
    /// After how many tasks a worker makes room for a fresh one; without limit if `None`.
    pub tasks_per_worker: Option<u64>,
    /// Whether to keep a timeline: which worker did what, and when.
    pub traced: bool,
    /// Whether the death of a worker breaks the pool; it is replaced otherwise.
    pub fragile: bool,
    /// How many tasks may wait, beside one for each worker that it may have; without limit if `None`.
    pub max_pending: Option<usize>,
    /// How long a task waits until it is worth as much as one of the next higher priority that comes
    /// then; [`AGEING`](crate::pool::pending::AGEING) if `None`. [`Duration::MAX`] is for ever.
    pub ageing: Option<Duration>,
}
