//! `Pending`, the tasks that wait for a worker, and which of them is next: README.md, "Priorities".
//!
//! As long as all have priority 0 this is a queue, and no clock is read. From the first other one
//! on it is a tree, until nothing waits or runs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::os::clock::monotonic_ns;
use crate::pool::task::{Task, TaskId};

/// How long a task waits until it is worth as much as one of the next higher priority that comes then,
/// where nothing else was said.
pub const AGEING: Duration = Duration::from_secs(60);

/// What comes first has the least.
pub(crate) type Rank = (i64, TaskId);

/// Waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    plain: VecDeque<Task>,
    ranked: Option<Ranked>,
    ageing: Option<Duration>,
}

#[derive(Debug)]
struct Ranked {
    tasks: BTreeMap<Rank, Task>,
    /// When it began. What came before counts as if it had come then, in its order.
    since_ns: u64,
    /// What a level is worth, in nanoseconds; `None` if no wait makes up for it.
    level_ns: Option<i64>,
}

impl Ranked {
    fn rank(&self, priority: i32, came_ns: u64, id: TaskId) -> Rank {
        let priority = i64::from(priority);
        let Some(level) = self.level_ns else { return (-priority, id) };
        let came = i64::try_from(came_ns.max(self.since_ns)).unwrap_or(i64::MAX);
        (came.saturating_sub(priority.saturating_mul(level)), id)
    }

    fn insert(&mut self, task: Task) {
        let rank = self.rank(task.priority, task.came_ns, task.id);
        self.tasks.insert(rank, task);
    }
}

impl Pending {
    pub(crate) fn new(ageing: Option<Duration>) -> Self {
        Self { ageing, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.ranked.as_ref().is_none_or(|ranked| ranked.tasks.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.ranked.as_ref().map_or(0, |ranked| ranked.tasks.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.plain.iter().chain(self.ranked.iter().flat_map(|ranked| ranked.tasks.values()))
    }

    /// Whether tasks of several priorities may be about.
    pub(crate) fn is_ranked(&self) -> bool {
        self.ranked.is_some()
    }

    /// When a task of this priority comes, if it comes now; 0 if that does not matter.
    pub(crate) fn now(&mut self, priority: i32) -> u64 {
        if priority == 0 && self.ranked.is_none() { 0 } else { self.begin_ranking() }
    }

    #[cold]
    fn begin_ranking(&mut self) -> u64 {
        let now = monotonic_ns();
        if self.ranked.is_none() {
            let level = self.ageing.unwrap_or(AGEING);
            let level_ns = i64::try_from(level.as_nanos()).ok();
            let mut ranked = Ranked { tasks: BTreeMap::new(), since_ns: now, level_ns };
            std::mem::take(&mut self.plain).into_iter().for_each(|task| ranked.insert(task));
            self.ranked = Some(ranked);
        }
        now
    }

    /// Is a queue again, as no task is about.
    pub(crate) fn end_ranking(&mut self) {
        if self.is_empty() {
            self.ranked = None;
        }
    }

    /// Where a task stands.
    pub(crate) fn rank(&self, priority: i32, came_ns: u64, id: TaskId) -> Rank {
        let ranked = self.ranked.as_ref();
        ranked.map_or((0, id), |ranked| ranked.rank(priority, came_ns, id))
    }

    /// Where the next one stands, if tasks may stand in another order than that in which they came.
    pub(crate) fn first_rank(&self) -> Option<Rank> {
        self.ranked.as_ref()?.tasks.keys().next().copied()
    }

    /// Adds one that has just come.
    pub(crate) fn push_back(&mut self, task: Task) {
        match &mut self.ranked {
            None => self.plain.push_back(task),
            Some(ranked) => ranked.insert(task),
        }
    }

    /// Adds one that came before all others of its priority.
    pub(crate) fn push_front(&mut self, task: Task) {
        match &mut self.ranked {
            None => self.plain.push_front(task),
            Some(ranked) => ranked.insert(task),
        }
    }

    /// Takes the next one.
    pub(crate) fn pop_front(&mut self) -> Option<Task> {
        match &mut self.ranked {
            None => self.plain.pop_front(),
            Some(ranked) => ranked.tasks.pop_first().map(|(_, task)| task),
        }
    }

    /// Takes all, in order.
    pub(crate) fn take_all(&mut self) -> Vec<Task> {
        let ranked = self.ranked.as_mut().map(|ranked| std::mem::take(&mut ranked.tasks));
        let ranked = ranked.unwrap_or_default().into_values();
        std::mem::take(&mut self.plain).into_iter().chain(ranked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::task::Body;

    fn task(id: TaskId, priority: i32, came_ns: u64) -> Task {
        let (function, op, items, parts, captured_handles) = (1, 0, 1, 1, None);
        let body = Body::Inline(Vec::new());
        let (job, index) = (1, id);
        Task {
            id,
            job,
            index,
            function,
            op,
            items,
            parts,
            body,
            captured_handles,
            timed: false,
            tries: None,
            priority,
            came_ns,
        }
    }

    fn order(pending: &mut Pending) -> Vec<TaskId> {
        std::iter::from_fn(|| pending.pop_front()).map(|task| task.id).collect()
    }

    #[test]
    fn without_priorities_it_is_a_queue_and_reads_no_clock() {
        let mut pending = Pending::new(None);
        assert_eq!(pending.now(0), 0);
        (1..4).for_each(|id| pending.push_back(task(id, 0, 0)));
        pending.push_front(task(0, 0, 0));
        assert!(!pending.is_ranked() && pending.first_rank().is_none());
        assert_eq!(order(&mut pending), [0, 1, 2, 3]);
    }

    #[test]
    fn the_highest_comes_first_and_within_one_the_first() {
        let mut pending = Pending::new(None);
        (1..3).for_each(|id| pending.push_back(task(id, 0, 0)));
        for (id, priority) in [(3, 1), (4, -1), (5, 2), (6, 1), (7, 0)] {
            let now = pending.now(priority);
            pending.push_back(task(id, priority, now));
        }
        // It had been with a worker since before there were priorities.
        pending.push_front(task(0, 0, 0));
        assert_eq!(pending.len(), 8);
        assert_eq!(order(&mut pending), [5, 3, 6, 0, 1, 2, 7, 4]);
        pending.end_ranking();
        assert!(!pending.is_ranked());
    }

    #[test]
    fn what_has_waited_for_long_comes_before_what_is_worth_more() {
        let mut pending = Pending::new(Some(Duration::from_nanos(100)));
        let now = pending.now(1);
        for (id, priority, came) in [(1, 0, 0), (2, 1, 99), (3, 1, 101), (4, 5, 499), (5, 5, 501)] {
            pending.push_back(task(id, priority, now + came));
        }
        assert_eq!(order(&mut pending), [2, 4, 1, 3, 5]);
    }

    #[test]
    fn no_wait_makes_up_for_a_level_that_is_worth_for_ever() {
        let mut pending = Pending::new(Some(Duration::MAX));
        let now = pending.now(1);
        for (id, priority, came) in [(1, 0, 0), (2, 1, 1 << 60), (3, i32::MIN, 0), (4, i32::MAX, 0)]
        {
            pending.push_back(task(id, priority, now + came));
        }
        assert_eq!(order(&mut pending), [4, 2, 1, 3]);
    }
}
