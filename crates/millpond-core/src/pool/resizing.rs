//! How a pool grows and shrinks: README.md, "Size".

use std::time::{Duration, Instant};

use crate::os::clock::monotonic_ns;
use crate::pool::size::{Bounds, Size, SizeInfo};
use crate::pool::state::{Phase, State};
use crate::pool::worker_handle::WorkerHandle;

/// How long growth waits for workers that are being set up. One whose initializer waits for what
/// tasks do is not to keep the others from coming.
const SETTING_UP: Duration = Duration::from_millis(100);
/// How often a worker's order to leave is tried again, when its ring had no room for it.
const OWED_INTERVAL: Duration = Duration::from_millis(20);
/// An idle worker is given at least so long, whatever the pool was told.
const SHORTEST_IDLE: Duration = Duration::from_millis(1);

impl State {
    /// How many workers the pool wants now. One that is closed wants one as long as there is something
    /// to do.
    pub(crate) fn wanted(&self) -> usize {
        let is_owed = matches!(self.phase, Phase::Closing) && !self.is_idle();
        self.size.wanted.max(usize::from(is_owed))
    }

    /// How many workers it has that were not told to leave because there are too many.
    pub(crate) fn staying(&self) -> usize {
        self.workers.iter().filter(|m| !m.surplus).count()
    }

    /// How many workers are missing.
    pub(crate) fn missing(&self) -> usize {
        self.wanted().saturating_sub(self.staying())
    }

    pub(crate) fn size_info(&self) -> SizeInfo {
        let Size { bounds, wanted, left, .. } = self.size;
        SizeInfo { bounds, wanted, workers: self.staying(), left }
    }

    pub(crate) fn resize(&mut self, bounds: Bounds) {
        let wanted = self.size.wanted.clamp(bounds.least, bounds.most);
        (self.size.bounds, self.size.wanted) = (bounds, wanted);
        self.workers.grows_at = None;
        self.drop_surplus_grants();
        let extra = self.staying().saturating_sub(self.wanted());
        let mut candidates: Vec<_> = self.workers.iter().filter(|m| !m.surplus).collect();
        candidates.sort_by_key(|m| m.rank_to_leave());
        let chosen: Vec<_> = candidates.iter().take(extra).map(|m| m.number).collect();
        chosen.into_iter().for_each(|number| self.send_away(number));
        self.summons = true;
    }

    /// What was prepared for workers that are not wanted any more is not to be used for others, much
    /// later.
    pub(crate) fn drop_surplus_grants(&mut self) {
        let missing = self.missing();
        self.grants.truncate(missing);
    }

    /// Has a worker leave when it has done the task that it is at; others do what waits behind that.
    fn send_away(&mut self, number: u64) {
        let Some(index) = self.workers.iter().position(|m| m.number == number) else {
            return;
        };
        let tasks = self.workers.take_back(index, usize::MAX);
        self.wait_again(tasks);
        let worker = &mut self.workers[index];
        worker.surplus = true;
        worker.dismiss();
        worker.notify();
    }

    /// Wants more workers, if tasks wait that more could begin.
    pub(crate) fn grow(&mut self) {
        if !self.size.may_grow() {
            return;
        }
        if !self.workers.lacks_workers(!self.pending.is_empty()) {
            // There is nothing to look for until something is handed out or waits.
            self.workers.grows_at = None;
            return;
        }
        let now = Instant::now();
        let (mut staying, mut starting) = (0, 0);
        for worker in self.workers.iter().filter(|m| !m.surplus) {
            staying += 1;
            starting += usize::from(!worker.ready);
        }
        if staying < self.wanted() {
            self.workers.grows_at = Some(now + SETTING_UP);
            return;
        }
        let patient_until = self.size.grew_at.map_or(now, |at| at + SETTING_UP);
        if starting > 0 && now < patient_until {
            self.workers.grows_at = Some(patient_until);
            return;
        }
        self.workers.grows_at = Some(now);
        let demand = self.pending.len() + self.workers.in_flight();
        let step = staying.max(self.workers.cpus());
        let wanted = (staying + step).min(demand).min(self.size.bounds.most);
        if wanted > self.size.wanted {
            (self.size.wanted, self.size.grew_at) = (wanted, Some(now));
            self.summons = true;
        }
    }

    /// Sends workers away that were idle for long, as far as there are more than the least; returns
    /// when to look again, if there is a need. For the supervisor.
    pub(crate) fn shrink(&mut self, now: Instant) -> Option<Instant> {
        let owes = |m: &WorkerHandle| m.surplus && !m.is_told;
        let mut owing = false;
        for worker in self.workers.iter_mut().filter(|m| owes(m)) {
            owing |= !worker.dismiss();
            worker.notify();
        }
        let owed = owing.then(|| now + OWED_INTERVAL);
        let Bounds { least, idle_timeout, .. } = self.size.bounds;
        let staying = self.staying();
        if staying <= least || !matches!(self.phase, Phase::Running) {
            return owed;
        }
        let timeout = idle_timeout.max(SHORTEST_IDLE);
        if !self.pending.is_empty() || self.workers.has_waiting() {
            return Some(owed.unwrap_or(now + timeout));
        }
        let now_ns = monotonic_ns();
        let idle_for = |m: &WorkerHandle| Duration::from_nanos(now_ns.saturating_sub(m.idle_since));
        let is_idle = |m: &&WorkerHandle| m.ready && m.load() == 0 && !m.leaving;
        let mut idle: Vec<_> =
            self.workers.iter().filter(is_idle).map(|m| (idle_for(m), m.number)).collect();
        idle.sort_unstable();
        let mut extra = staying - least;
        while let Some(&(since, number)) = idle.last()
            && extra > 0
            && since >= timeout
        {
            self.send_away(number);
            idle.pop();
            extra -= 1;
        }
        self.size.wanted = self.size.wanted.min(least + extra);
        self.drop_surplus_grants();
        if extra == 0 {
            return owed;
        }
        let longest = idle.last().map_or(Duration::ZERO, |&(since, _)| since);
        let next = now + timeout.saturating_sub(longest);
        Some(owed.map_or(next, |owed| owed.min(next)))
    }

    /// Notes that a worker is gone that was told to leave because there were too many.
    pub(crate) fn surplus_left(&mut self) {
        self.size.left += 1;
    }
}
