//! The workers of a pool, and which of them gets the next task: README.md, "Which worker".

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use crate::cpu::cpu_count;
use crate::pool::function::Functions;
use crate::pool::member::{
    Estate, InFlight, LOOK_NS, Listed, Member, NotHanded, PATIENCE, PREFETCH,
};
use crate::pool::task::{CrashCause, Task, TaskId};
use crate::shm::heap::Heap;

/// How often the owner looks for workers whose task takes long, while tasks wait and workers are idle.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// How often it looks for workers that do not begin what they have, and for those that are back.
const RARE_LOOK_INTERVAL: Duration = PATIENCE;
/// Tasks that take longer than this on average are worth a wake-up each, which costs some 10 µs.
const LONG_NS: u64 = 100_000;
/// How many more workers may work for each one whose task takes long.
const SPREAD: usize = 4;
/// The average is one of about so many tasks.
const AVERAGED: u64 = 32;

/// The members of a pool. Choosing one for a task takes the same time however many there are.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    /// Members that may send something: they have tasks, or are being set up. And those that are away.
    busy: Vec<usize>,
    /// Members without tasks, the one that worked last at the end. Some may be here no longer by right.
    idle: Vec<usize>,
    /// Members that may get tasks behind the one that they are at, in turn. As for `idle`.
    open: VecDeque<usize>,
    /// Members that have been handed tasks since the last announcement.
    told: Vec<usize>,
    in_flight: usize,
    /// How many members have tasks.
    working: usize,
    /// How many of them have been at one task for long.
    stuck: usize,
    /// How many members do not look at their rings.
    away: usize,
    cpus: usize,
    average_ns: u64,
    last_look: Instant,
}

impl Deref for Crew {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.members
    }
}

impl DerefMut for Crew {
    fn deref_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }
}

impl Crew {
    pub(crate) fn new() -> Self {
        Self {
            members: Vec::new(),
            busy: Vec::new(),
            idle: Vec::new(),
            open: VecDeque::new(),
            told: Vec::new(),
            in_flight: 0,
            working: 0,
            stuck: 0,
            away: 0,
            cpus: cpu_count(),
            average_ns: 0,
            last_look: Instant::now(),
        }
    }

    /// Adds a member that is being set up. It gets its first task when it is ready: what it is set up
    /// with may wait for what tasks do.
    pub(crate) fn add(&mut self, mut member: Member) {
        member.listed = Listed { busy: true, idle: true, open: false };
        self.busy.push(self.members.len());
        self.idle.insert(0, self.members.len());
        self.members.push(member);
    }

    /// Removes a member, whose [estate](Self::estate) was taken.
    pub(crate) fn remove(&mut self, index: usize) -> Member {
        let close_gap = |listed: &mut usize| {
            let stays = *listed != index;
            *listed -= usize::from(*listed > index);
            stays
        };
        self.busy.retain_mut(close_gap);
        self.idle.retain_mut(close_gap);
        self.open.retain_mut(close_gap);
        let member = self.members.remove(index);
        self.stuck -= usize::from(member.is_stuck);
        self.away -= usize::from(member.is_away());
        member
    }

    /// Whether no member has a task.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Whether a task waits behind another one.
    pub(crate) fn has_waiting(&self) -> bool {
        self.in_flight > self.working
    }

    /// The member at this place in the list of those that may send something.
    pub(crate) fn busy(&self, at: usize) -> Option<usize> {
        self.busy.get(at).copied()
    }

    /// Takes the member at this place off that list, if it has no task, is set up, and is not away.
    pub(crate) fn rest(&mut self, at: usize) -> bool {
        let index = self.busy[at];
        let member = &mut self.members[index];
        let has_returned = member.is_away() && member.has_returned();
        self.away -= usize::from(has_returned);
        let rests = member.ready && member.load() == 0 && !member.is_away();
        if rests {
            self.busy.swap_remove(at);
            member.listed.busy = false;
            self.stuck -= usize::from(std::mem::take(&mut member.is_stuck));
            if !std::mem::replace(&mut member.listed.idle, true) {
                self.idle.push(index);
            }
        }
        rests
    }

    /// The member that is to get the next task; `None` if the task is to wait. `is_awaited` says
    /// that the threads of this process which use the pool sleep.
    pub(crate) fn next(&mut self, is_awaited: bool) -> Option<usize> {
        if self.may_wake(is_awaited) {
            return self.next_idle();
        }
        self.next_open().or_else(|| if self.may_wake(true) { self.next_idle() } else { None })
    }

    /// Whether there is an idle member that may work.
    fn may_wake(&mut self, is_awaited: bool) -> bool {
        let others = self.cpus.saturating_sub(usize::from(!is_awaited)).max(1);
        let is_long = self.average_ns >= LONG_NS;
        (is_long || self.working < others + SPREAD * self.stuck) && self.next_idle().is_some()
    }

    /// How many members have tasks.
    pub(crate) fn working(&self) -> usize {
        self.working
    }

    /// How many tasks a member may have: what it does until the next look, and one more.
    fn depth(&self) -> usize {
        let ahead = LOOK_NS / self.average_ns.max(1);
        usize::try_from(ahead).unwrap_or(PREFETCH).saturating_add(1).clamp(2, PREFETCH)
    }

    fn next_idle(&mut self) -> Option<usize> {
        while let Some(&index) = self.idle.last() {
            let member = &mut self.members[index];
            if member.load() == 0 && member.ready && !member.is_away() && member.accepts() {
                return Some(index);
            }
            member.listed.idle = false;
            self.idle.pop();
        }
        None
    }

    fn next_open(&mut self) -> Option<usize> {
        let depth = self.depth();
        while let Some(&index) = self.open.front() {
            let member = &mut self.members[index];
            let is_held_up = member.is_stuck || member.is_full;
            if (1..depth).contains(&member.load()) && member.accepts() && !is_held_up {
                return Some(index);
            }
            member.listed.open = false;
            self.open.pop_front();
        }
        None
    }

    /// The member with most tasks, if another one may share them.
    pub(crate) fn busiest(&mut self, is_awaited: bool) -> Option<usize> {
        if !self.has_waiting() || !self.may_wake(is_awaited) {
            return None;
        }
        self.busy.iter().copied().max_by_key(|&index| self.members[index].load())
    }

    /// Notes how long a task took.
    pub(crate) fn took(&mut self, nanoseconds: u64) {
        let weighed = self.average_ns * (AVERAGED - 1) + nanoseconds.min(LOOK_NS);
        self.average_ns = weighed / AVERAGED;
    }

    /// When to [look](Self::look) next, if there is a need.
    pub(crate) fn next_look(&mut self, has_pending: bool) -> Option<Instant> {
        let has_idle = self.next_idle().is_some();
        if has_idle && (has_pending || self.has_waiting()) {
            return Some(self.last_look + LOOK_INTERVAL);
        }
        let may_not_begin = has_idle && self.working > self.stuck;
        let is_missed = self.away > 0 && (has_pending || self.working > 0);
        (may_not_begin || is_missed).then(|| self.last_look + RARE_LOOK_INTERVAL)
    }

    /// Looks for members that have been at one task for long, or do not begin it, if it is time for
    /// that; returns the tasks that wait for those, in order, if another member can have them.
    pub(crate) fn look(&mut self, has_pending: bool) -> Vec<Task> {
        let at = if self.has_waiting() {
            Some(self.last_look + LOOK_INTERVAL)
        } else {
            self.next_look(has_pending)
        };
        let Some(at) = at else { return Vec::new() };
        let now = Instant::now();
        if now < at { Vec::new() } else { self.look_at(now) }
    }

    fn look_at(&mut self, now: Instant) -> Vec<Task> {
        self.last_look = now;
        (self.stuck, self.away) = (0, 0);
        let mut held_up = Vec::new();
        for &index in &self.busy {
            let member = &mut self.members[index];
            member.look(now);
            self.stuck += usize::from(member.is_stuck);
            self.away += usize::from(member.is_away());
            if member.is_stuck && (member.load() >= 2 || member.is_away()) {
                held_up.push(index);
            }
        }
        if self.next_idle().or_else(|| self.next_open()).is_none() {
            return Vec::new();
        }
        let behind = held_up.into_iter().flat_map(|index| self.take_back(index, usize::MAX));
        let mut behind: Vec<_> = behind.collect();
        // They are numbered as they came.
        behind.sort_unstable_by_key(|task| task.id);
        behind
    }

    fn change<R>(&mut self, index: usize, change: impl FnOnce(&mut Member) -> R) -> R {
        let member = &mut self.members[index];
        let before = member.load();
        let result = change(member);
        let after = member.load();
        self.in_flight = self.in_flight + after - before;
        self.working = self.working + usize::from(after > 0) - usize::from(before > 0);
        result
    }

    /// See [`Member::hand`].
    pub(crate) fn hand(
        &mut self,
        index: usize,
        task: Task,
        functions: &Functions,
        heap: &mut Heap,
    ) -> Result<(), NotHanded> {
        if self.working == 0 {
            // It is not too late for what begins now.
            self.last_look = Instant::now();
        }
        let handed = self.change(index, |member| member.hand(task, functions, heap));
        // Whatever came of it, something may have been put into its ring.
        self.told.push(index);
        let member = &mut self.members[index];
        if let Err(NotHanded::RingFull(_)) = handed {
            member.is_full = true;
            // Without a task it is not held up for long, but others come first.
            if self.idle.last() == Some(&index) {
                self.idle.rotate_right(1);
            }
            return handed;
        }
        handed?;
        if !std::mem::replace(&mut member.listed.busy, true) {
            self.busy.push(index);
        }
        if self.open.front() == Some(&index) {
            self.open.rotate_left(1);
        }
        self.offer(index);
        Ok(())
    }

    fn offer(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.load() > 0 && !std::mem::replace(&mut member.listed.open, true) {
            self.open.push_back(index);
        }
    }

    /// Wakes the members that have been handed tasks.
    pub(crate) fn announce(&mut self) {
        for index in self.told.drain(..) {
            self.members[index].announce();
        }
    }

    /// See [`Member::finished`].
    pub(crate) fn finished(&mut self, index: usize, id: TaskId) -> Result<InFlight, CrashCause> {
        let task = self.change(index, |member| member.finished(id))?;
        let member = &mut self.members[index];
        member.is_full = false;
        self.stuck -= usize::from(std::mem::take(&mut member.is_stuck));
        self.away -= usize::from(member.is_away());
        member.is_here();
        self.offer(index);
        Ok(task)
    }

    /// See [`Member::take_back`].
    pub(crate) fn take_back(&mut self, index: usize, count: usize) -> Vec<Task> {
        let tasks = self.change(index, |member| member.take_back(count));
        let member = &mut self.members[index];
        if member.load() == 0 {
            self.stuck -= usize::from(std::mem::take(&mut member.is_stuck));
            if !std::mem::replace(&mut member.listed.idle, true) {
                self.idle.push(index);
            }
        }
        self.offer(index);
        tasks
    }

    /// See [`Member::estate`].
    pub(crate) fn estate(&mut self, index: usize) -> Estate {
        self.change(index, Member::estate)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::channel::link::WorkerEnd;
    use crate::os::clock::monotonic_ns;
    use crate::pool::commons::Commons;
    use crate::pool::config::Config;
    use crate::pool::task::{Body, FunctionId};

    /// A crew on a machine of two CPUs, and what it needs to hand tasks out.
    struct Fixture {
        crew: Crew,
        functions: Functions,
        heap: Heap,
        _commons: Commons,
        tasks: u64,
    }

    impl Fixture {
        fn new(members: u32) -> Self {
            let commons = Commons::create().expect("commons");
            let heap = Heap::new(commons.segment()).expect("a heap");
            let mut crew = Crew::new();
            crew.cpus = 2;
            let config =
                Config { processes: 1, tasks_per_worker: None, traced: false, fragile: false };
            for place in 0..members {
                let number = u64::from(place) + 1;
                let (mut member, _) = Member::new(number, 0, place, 1, &config).expect("a link");
                member.ready = true;
                crew.add(member);
            }
            Self { crew, functions: Functions::default(), heap, _commons: commons, tasks: 0 }
        }

        /// Hands one more task out; whom to.
        fn hand(&mut self, is_awaited: bool) -> Option<usize> {
            let index = self.crew.next(is_awaited)?;
            self.try_hand(index, 1).expect("room");
            Some(index)
        }

        fn try_hand(&mut self, index: usize, function: FunctionId) -> Result<(), NotHanded> {
            self.tasks += 1;
            let (id, body) = (self.tasks, Body::Inline(Vec::new()));
            let (job, op, items, parts, luggage) = (1, 0, 1, 1, None);
            let task = Task { id, job, index: id, function, op, items, parts, body, luggage };
            self.crew.hand(index, task, &self.functions, &mut self.heap)
        }

        fn hand_many(&mut self, count: usize, is_awaited: bool) {
            for _ in 0..count {
                assert!(self.hand(is_awaited).is_some());
            }
        }

        fn finish(&mut self, index: usize) {
            let id = self.crew[index].in_flight().next().expect("a task").id;
            self.crew.finished(index, id).expect("its task");
            self.rest();
        }

        fn rest(&mut self) {
            let mut at = 0;
            while self.crew.busy(at).is_some() {
                at += usize::from(!self.crew.rest(at));
            }
        }

        fn loads(&self) -> Vec<usize> {
            self.crew.iter().map(Member::load).collect()
        }
    }

    #[test]
    fn short_tasks_go_to_as_many_members_as_there_are_cpus() {
        let mut fixture = Fixture::new(4);
        fixture.hand_many(20, true);
        assert_eq!(fixture.loads(), [10, 10, 0, 0]);
        assert!(fixture.crew.has_waiting() && !fixture.crew.is_idle());
        let mut fixture = Fixture::new(4);
        fixture.hand_many(20, false);
        assert_eq!(fixture.loads(), [20, 0, 0, 0], "the thread that submits has the other CPU");
        fixture.hand_many(2 * PREFETCH - 20, false);
        assert_eq!(fixture.loads(), [PREFETCH, PREFETCH, 0, 0], "but not for more than that");
        assert_eq!(fixture.hand(false), None);
    }

    #[test]
    fn the_member_that_worked_last_comes_first() {
        let mut fixture = Fixture::new(4);
        assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
        fixture.finish(1);
        fixture.finish(0);
        assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
        fixture.finish(0);
        assert_eq!(fixture.hand(true), Some(0));
    }

    #[test]
    fn long_tasks_go_to_everybody() {
        let mut fixture = Fixture::new(6);
        (0..AVERAGED).for_each(|_| fixture.crew.took(2 * LONG_NS));
        fixture.hand_many(6, false);
        assert_eq!(fixture.loads(), [1; 6]);
        (0..AVERAGED).for_each(|_| fixture.crew.took(u64::MAX));
        while fixture.hand(false).is_some() {}
        assert!(fixture.loads().iter().all(|&load| load < 10), "not far ahead");
    }

    /// Looks twice, as far apart as a worker may take to begin a task; what was taken back.
    fn look_twice(fixture: &mut Fixture) -> Vec<TaskId> {
        let now = Instant::now();
        assert!(fixture.crew.look_at(now).is_empty());
        fixture.crew.look_at(now + PATIENCE).into_iter().map(|task| task.id).collect()
    }

    /// The worker's end of a member's link, after the frame that tells of the function.
    fn worker(fixture: &Fixture, index: usize) -> WorkerEnd {
        let link = fixture.crew[index].link().as_fd().try_clone_to_owned().expect("a descriptor");
        let mut worker = WorkerEnd::attach(link).expect("the same layout");
        let frame = worker.tasks.front().expect("intact").expect("the function");
        assert_eq!(frame.claim(), Ok(true));
        frame.release();
        worker
    }

    #[test]
    fn what_a_member_does_not_begin_goes_to_others_until_it_is_back() {
        for count in [1, 5] {
            let mut fixture = Fixture::new(4);
            fixture.hand_many(count, false);
            assert_eq!(fixture.loads(), [count, 0, 0, 0]);
            assert!(fixture.crew.next_look(false).is_some(), "somebody is to look");
            assert_eq!(look_twice(&mut fixture), (1..=count as u64).collect::<Vec<_>>());
            assert!(fixture.crew.is_idle());
            fixture.rest();
            assert_eq!(fixture.hand(false), Some(1), "it gets nothing");
            assert!(fixture.crew.next_look(false).is_some(), "somebody is to see it come back");
            // It passes the function and what was taken back.
            assert!(worker(&fixture, 0).tasks.front().expect("intact").is_none());
            fixture.rest();
            fixture.finish(1);
            assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(1), Some(0)]);
        }
    }

    #[test]
    fn what_waits_for_several_members_comes_back_oldest_first() {
        let mut fixture = Fixture::new(4);
        fixture.hand_many(6, true);
        assert_eq!(fixture.loads(), [3, 3, 0, 0]);
        assert_eq!(look_twice(&mut fixture), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_member_is_idle_as_soon_as_all_was_taken_back() {
        let mut fixture = Fixture::new(1);
        fixture.hand_many(2, true);
        fixture.rest();
        assert_eq!(fixture.crew.take_back(0, usize::MAX).len(), 2);
        assert_eq!(fixture.hand(true), Some(0));
        assert_eq!(fixture.crew.take_back(0, usize::MAX).len(), 1);
        assert_eq!(fixture.hand(true), Some(0));
    }

    #[test]
    fn what_a_member_has_claimed_stays_with_it() {
        let mut fixture = Fixture::new(4);
        fixture.hand_many(3, false);
        let mut worker = worker(&fixture, 0);
        let frame = worker.tasks.front().expect("intact").expect("a task");
        // It is stopped before it notes the task.
        assert_eq!(frame.claim(), Ok(true));
        assert_eq!(look_twice(&mut fixture), [2, 3]);
        assert_eq!(fixture.loads(), [1, 0, 0, 0]);
        assert_eq!(fixture.hand(false), Some(1));
        worker.hold(Some(1), monotonic_ns());
        fixture.finish(0);
        assert_eq!(fixture.loads(), [0, 1, 0, 0]);
        assert_eq!(fixture.hand(true), Some(0), "it is back");
    }

    #[test]
    fn a_member_hears_of_what_fills_its_ring() {
        let mut fixture = Fixture::new(1);
        fixture.hand_many(1, true);
        let mut worker = worker(&fixture, 0);
        let mut take_all = || {
            while let Some(frame) = worker.tasks.front().expect("intact") {
                assert_eq!(frame.claim(), Ok(true));
                frame.release();
            }
        };
        let most = 10_000;
        for function in 1..=most {
            take_all();
            fixture.finish(0);
            fixture.try_hand(0, function).expect("room");
        }
        take_all();
        fixture.finish(0);
        fixture.crew.announce();
        (1..=most).for_each(|function| fixture.crew[0].forget(function));
        let link = fixture.crew[0].link().as_fd().try_clone_to_owned().expect("a descriptor");
        let ears = WorkerEnd::attach(link).expect("the same layout");
        let mut rounds = 0;
        loop {
            let seen = ears.bell().listen();
            let handed = fixture.try_hand(0, 1);
            fixture.crew.announce();
            assert!(ears.bell().rung_since(seen), "it sleeps");
            if handed.is_ok() {
                break;
            }
            take_all();
            rounds += 1;
        }
        assert!(rounds > 0, "the ring was never full");
    }

    #[test]
    fn a_member_that_began_in_the_future_is_stuck() {
        let mut fixture = Fixture::new(4);
        fixture.hand_many(3, false);
        let mut worker = worker(&fixture, 0);
        let frame = worker.tasks.front().expect("intact").expect("a task");
        assert_eq!(frame.claim(), Ok(true));
        worker.hold(Some(1), u64::MAX / 2);
        let moved = fixture.crew.look_at(Instant::now());
        assert_eq!(moved.into_iter().map(|task| task.id).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn tasks_stay_where_they_are_if_nobody_else_can_have_them() {
        let mut fixture = Fixture::new(2);
        fixture.hand_many(2, true);
        assert_eq!(look_twice(&mut fixture), []);
        assert_eq!(fixture.loads(), [1, 1]);
        assert!(fixture.crew.next_look(false).is_some());
        let mut first = worker(&fixture, 0);
        first.tasks.front().expect("intact").expect("a task").release();
        fixture.finish(0);
        let later = Instant::now() + 3 * PATIENCE;
        let moved: Vec<_> = fixture.crew.look_at(later).into_iter().map(|task| task.id).collect();
        assert_eq!(moved, [2], "the first is back");
        assert_eq!(fixture.hand(true), Some(0));
    }

    #[test]
    fn members_that_are_being_set_up_get_nothing() {
        let mut fixture = Fixture::new(3);
        fixture.crew[0].ready = false;
        fixture.crew[2].ready = false;
        fixture.hand_many(3, true);
        assert_eq!(fixture.loads(), [0, 3, 0]);
        fixture.crew[2].ready = true;
        fixture.rest();
        assert_eq!(fixture.crew.busiest(true), Some(1), "there is another one now");
        fixture.hand_many(1, true);
        assert_eq!(fixture.loads(), [0, 3, 1]);
    }

    #[test]
    fn members_that_come_and_go_keep_their_places_in_the_lists() {
        let mut fixture = Fixture::new(4);
        assert_eq!([fixture.hand(true), fixture.hand(true)], [Some(0), Some(1)]);
        drop(fixture.crew.estate(0));
        fixture.crew.remove(0);
        assert_eq!(fixture.loads(), [1, 0, 0]);
        assert_eq!(fixture.hand(true), Some(1));
        fixture.finish(0);
        assert_eq!(fixture.hand(true), Some(0));
        assert_eq!(fixture.loads(), [1, 1, 0]);
        fixture.finish(0);
        fixture.finish(1);
        assert!(fixture.crew.is_idle() && !fixture.crew.has_waiting());
    }
}
