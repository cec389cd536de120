//! The configuration of a pool.

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
}
