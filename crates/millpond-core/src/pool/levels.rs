//! How long tasks of each priority wait until a worker begins them.

use std::collections::BTreeMap;
use std::time::Duration;

/// Waits of the tasks of one priority, from the first task on that had one other than 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How many wait now: for a worker, or behind the task that theirs is at.
    pub waiting: u64,
    /// How long the first of those has waited.
    pub oldest: Duration,
    /// How many were done.
    pub finished: u64,
    /// How long those had waited together.
    pub waited: Duration,
    /// How long one of those had waited at most.
    pub longest: Duration,
}

/// Levels by priority.
#[derive(Debug, Default)]
pub(crate) struct Levels(pub(crate) BTreeMap<i32, Level>);

impl Levels {
    /// Notes that a task was done that came at one time and began at another.
    pub(crate) fn finished(&mut self, priority: i32, came_ns: u64, began_ns: u64) {
        let waited = Duration::from_nanos(began_ns.saturating_sub(came_ns));
        let level = self.0.entry(priority).or_default();
        level.finished += 1;
        level.waited = level.waited.saturating_add(waited);
        level.longest = level.longest.max(waited);
    }
}
