//! `WorkerHandle`, the owner's record of one worker: its link, its tasks and its process.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::channel::link::{LARGEST_FRAME, LastActivity, PoolEnd};
use crate::channel::ring::Corrupt;
use crate::os::clock::monotonic_ns;
use crate::os::socket::{Received, Socket};
use crate::pool::INLINE_LIMIT;
use crate::pool::config::Config;
use crate::pool::function::Functions;
use crate::pool::payload::Payload;
use crate::pool::task::{Body, CrashCause, FunctionId, HANDLES, Task, TaskId};
use crate::pool::wire::{HEAD, Order, OrderHead, Placement, ReportHead, frame_length};
use crate::shm::heap::Heap;
use crate::shm::lease::{self, Importer};

/// How many tasks a worker is handed ahead of time. They can be taken back until it begins them.
pub(crate) const PREFETCH: usize = 64;
/// A worker notifies all waiters when this many tasks were done since the last time that it did.
const NOTIFY_ALL_EVERY: u64 = 32;
/// A task that takes longer than this holds up what waits behind it.
pub(crate) const LOOK_NS: u64 = 1_000_000;
/// How long a worker may take to begin a task that it has, or to end it, whatever it says itself. One
/// that waits for a CPU begins sooner, most of the time.
pub(crate) const STUCK_AFTER: Duration = Duration::from_millis(20);
/// How many bundles are looked at for one.
const MAX_UNUSED_BUNDLES: usize = 64;

/// One worker of a pool, from the order to fork it until its death was dealt with.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// Counted from 1 within the pool; never used again.
    pub(crate) number: u64,
    /// What the binding calls it; 0 for one of the first.
    pub(crate) tag: u64,
    /// Which of the pool's places it fills; its replacement takes the same.
    pub(crate) place: u32,
    /// Which of the pool's zygotes is its parent.
    pub(crate) generation: u64,
    pub(crate) pid: Option<u32>,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) ready: bool,
    /// It takes no more tasks: it is to leave after those that it has, or was killed.
    pub(crate) leaving: bool,
    /// It was told so.
    pub(crate) is_told: bool,
    /// It leaves as there are too many: no other takes its place.
    pub(crate) surplus: bool,
    /// When it ended its last task, or was set up; by its own clock.
    pub(crate) idle_since: u64,
    pub(crate) started_ns: u64,
    link: PoolEnd,
    /// Brings the bundles of its results that have handles.
    bundles: Socket,
    results: Importer,
    /// Tasks in its ring or running, in order.
    in_flight: VecDeque<InFlight>,
    /// How many of those may be tried again.
    retriable: usize,
    known: HashSet<FunctionId>,
    to_forget: Vec<FunctionId>,
    handed: u64,
    /// The last task that it finished, 0 for none.
    pub(crate) last_finished: TaskId,
    /// Tasks that it takes in its life, if that is limited.
    quota: Option<u64>,
    news: bool,
    pub(crate) listed: Listed,
    /// It has been at one task for long, or does not begin it.
    pub(crate) is_stuck: bool,
    /// Its oldest task at the last look, and since when that has been its oldest.
    seen: Option<(TaskId, Instant)>,
    /// How far it was in its ring when it was found not to look at that.
    away_at: Option<u64>,
    /// Its ring had no room for a task; it gets no more behind others before it has finished one.
    pub(crate) is_full: bool,
    /// Why the pool killed it, if it did.
    pub(crate) killed_for: Option<CrashCause>,
    /// Its oldest task, since when that has run, and whether it was warned: once that was looked at.
    pub(crate) clock: Option<Clock>,
    /// The task because of which the pool killed it, and why, if it did. What it had sent counts.
    pub(crate) killed: Option<(TaskId, CrashCause)>,
}

/// The time of a task with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) task: TaskId,
    /// In monotonic nanoseconds.
    pub(crate) began: u64,
    pub(crate) warned: bool,
    /// How often the worker seemed to be past it although its result was not there.
    pub(crate) disputes: u32,
}

/// In which lists of `Workers` a worker stands.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) busy: bool,
    pub(crate) idle: bool,
    pub(crate) open: bool,
}

/// A task that was handed to a worker, as the owner has it: what lies in the ring is the worker's to
/// damage.
#[derive(Debug)]
pub(crate) struct InFlight {
    task: Task,
    /// Of its frame in the ring.
    position: u64,
}

impl Deref for InFlight {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

impl DerefMut for InFlight {
    fn deref_mut(&mut self) -> &mut Task {
        &mut self.task
    }
}

/// What a dead worker leaves.
#[derive(Debug)]
pub(crate) struct DeadWorker {
    /// What it had begun, or may have begun, and did not finish.
    pub(crate) begun: Vec<InFlight>,
    /// What it had not begun.
    pub(crate) untouched: Vec<Task>,
    /// Where it stood in the last of what it had begun.
    pub(crate) last: LastActivity,
    /// Whether it wrote nonsense into its link.
    pub(crate) is_damaged: bool,
}

/// Why a worker did not get a task, which comes back.
#[derive(Debug)]
pub(crate) enum NotHanded {
    /// Its ring has no room now.
    RingFull(Task),
    /// There is no memory to send it the task's function.
    NoMemory(Task, io::Error),
}

/// A frame from a worker.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) head: ReportHead,
    /// An error for want of memory.
    pub(crate) payload: io::Result<Payload>,
}

impl WorkerHandle {
    /// A worker to be started, and its end for bundles.
    pub(crate) fn new(
        number: u64,
        tag: u64,
        place: u32,
        generation: u64,
        config: &Config,
    ) -> io::Result<(Self, OwnedFd)> {
        let quota = config.tasks_per_worker;
        let link = PoolEnd::create(quota)?;
        let (bundles, theirs) = Socket::pair()?;
        let worker = Self {
            number,
            tag,
            place,
            generation,
            pid: None,
            pidfd: None,
            ready: false,
            leaving: false,
            is_told: false,
            surplus: false,
            idle_since: 0,
            started_ns: monotonic_ns(),
            link,
            bundles,
            results: Importer::default(),
            in_flight: VecDeque::new(),
            retriable: 0,
            known: HashSet::new(),
            to_forget: Vec::new(),
            handed: 0,
            last_finished: 0,
            quota,
            news: false,
            listed: Listed::default(),
            is_stuck: false,
            seen: None,
            away_at: None,
            is_full: false,
            killed_for: None,
            clock: None,
            killed: None,
        };
        Ok((worker, theirs.into()))
    }

    pub(crate) fn link(&self) -> &PoolEnd {
        &self.link
    }

    /// How many tasks it has, running one included.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn retriable(&self) -> usize {
        self.retriable
    }

    pub(crate) fn in_flight(&self) -> impl DoubleEndedIterator<Item = &InFlight> {
        self.in_flight.iter()
    }

    /// Whether it runs a task whose result has not come, or is being set up. One that has sent a
    /// result may not have noted yet that it holds no task any more.
    pub(crate) fn is_busy(&self) -> bool {
        let task = self.link.last_activity().task;
        !self.ready || self.in_flight.iter().any(|held| Some(held.id) == task)
    }

    /// Looks whether it has been at its oldest task for long, and whether it has begun that at all.
    pub(crate) fn look(&mut self, now: Instant) {
        // What one has that is being set up is taken back as soon as another is ready.
        let oldest = self.in_flight.front().filter(|_| self.ready).map(|task| task.id);
        let Some(oldest) = oldest else {
            self.is_stuck = false;
            return;
        };
        let since = match self.seen {
            Some((seen, since)) if seen == oldest => since,
            _ => now,
        };
        self.seen = Some((oldest, since));
        let last = self.link.last_activity();
        // One that says that it will begin is damaged, and may be at it for ever.
        let is_long = last.task.is_some() && monotonic_ns().abs_diff(last.began) >= LOOK_NS;
        let is_late = now.duration_since(since) >= STUCK_AFTER;
        self.is_stuck = is_long || is_late;
        // Before its tasks are taken back: it is here again as soon as it passes them.
        let head = self.link.tasks.look_at_head().ok();
        self.away_at = head.filter(|_| is_late && last.task != Some(oldest));
    }

    /// Whether it was found not to look at its ring, and nothing has shown yet that it does again. It
    /// is in a destructor of what the last task left, or stopped, or kept from a lock of its program's.
    pub(crate) fn is_away(&self) -> bool {
        self.away_at.is_some()
    }

    /// It gave a sign of life.
    pub(crate) fn is_here(&mut self) {
        self.away_at = None;
    }

    /// Whether a worker that is away, and has no task any more, has passed what was taken back.
    pub(crate) fn has_returned(&mut self) -> bool {
        let head = self.link.tasks.look_at_head().ok();
        if self.load() == 0 && head.is_some() && head != self.away_at {
            (self.seen, self.away_at) = (None, None);
        }
        !self.is_away()
    }

    /// Whether it takes one more task.
    pub(crate) fn accepts(&self) -> bool {
        !self.leaving
            && self.killed.is_none()
            && self.load() < PREFETCH
            && self.quota.is_none_or(|q| self.handed < q)
    }

    /// Whether it was sent this function.
    pub(crate) fn knows(&self, function: FunctionId) -> bool {
        self.known.contains(&function)
    }

    /// Since when it has run its oldest task, in monotonic nanoseconds, if it has begun that. What it
    /// says itself counts where that makes sense, and what was found first is kept: whatever it writes
    /// next, its time does not become longer.
    pub(crate) fn clock(&mut self, now: u64) -> Option<&mut Clock> {
        let oldest = self.in_flight.front()?;
        if self.clock.is_none_or(|clock| clock.task != oldest.id) {
            let last = self.link.last_activity();
            let began = if last.task == Some(oldest.id) && last.began > 0 {
                last.began.min(now)
            } else {
                // Between the two steps of its beginning, where it may have been stopped; or it does
                // not say what is so.
                let is_claimed = self.link.tasks.claimed(oldest.position, oldest.length());
                if is_claimed == Ok(false) {
                    return None;
                }
                now
            };
            self.clock = Some(Clock { task: oldest.id, began, warned: false, disputes: 0 });
        }
        self.clock.as_mut()
    }

    /// Puts a task into its ring, its function first if the worker does not know it.
    ///
    /// # Errors
    /// The task, with the reason.
    pub(crate) fn hand(
        &mut self,
        task: Task,
        functions: &Functions,
        heap: &mut Heap,
    ) -> Result<(), NotHanded> {
        match self.tell_functions(task.function, functions, heap) {
            Ok(true) => {}
            Ok(false) => return Err(NotHanded::RingFull(task)),
            Err(error) => return Err(NotHanded::NoMemory(task, error)),
        }
        let (placement, inline): (_, &[u8]) = match &task.body {
            Body::Inline(bytes) => (Placement::Inline, bytes),
            Body::Block(block) => (Placement::Block(*block), &[]),
        };
        let head = OrderHead {
            order: Order::Run,
            op: task.op,
            parts: task.parts,
            task: task.id,
            function: task.function,
            items: task.items,
            notify_all: self.handed % NOTIFY_ALL_EVERY == NOTIFY_ALL_EVERY - 1,
            placement,
        };
        let Some(position) = self.push(&head, inline) else {
            return Err(NotHanded::RingFull(task));
        };
        if let Body::Block(block) = task.body {
            heap.hand_to(block, self.number);
        }
        self.retriable += usize::from(task.tries.is_some());
        self.in_flight.push_back(InFlight { task, position });
        self.handed += 1;
        Ok(())
    }

    fn push(&mut self, head: &OrderHead, inline: &[u8]) -> Option<u64> {
        let length = frame_length(head.placement, inline.len());
        debug_assert!(length <= LARGEST_FRAME);
        let position = self.link.tasks.push(length, |out| {
            head.write(out);
            if head.placement == Placement::Inline {
                out[HEAD..].copy_from_slice(inline);
            }
        });
        self.news |= position.is_some();
        position
    }

    /// Sends the worker `function`, unless it knows it, and which functions to forget. False if its
    /// ring has no room for that.
    fn tell_functions(
        &mut self,
        function: FunctionId,
        all: &Functions,
        heap: &mut Heap,
    ) -> io::Result<bool> {
        while let Some(&forget) = self.to_forget.last() {
            if self.push(&control(Order::Forget, forget, Placement::Inline), b"").is_none() {
                return Ok(false);
            }
            self.to_forget.pop();
        }
        if self.knows(function) {
            return Ok(true);
        }
        let bytes = all.bytes(function).unwrap_or_default();
        let told = if bytes.len() <= INLINE_LIMIT {
            self.push(&control(Order::Define, function, Placement::Inline), &bytes).is_some()
        } else {
            // A copy for each worker: it is the worker that frees it.
            let block = heap.lend(bytes.len(), self.number, |out| out.copy_from_slice(&bytes))?;
            let define = control(Order::Define, function, Placement::Block(block));
            let pushed = self.push(&define, b"").is_some();
            if !pushed {
                heap.free(block);
            }
            pushed
        };
        if told {
            self.known.insert(function);
        }
        Ok(told)
    }

    /// Has the worker forget a function, some time.
    pub(crate) fn forget(&mut self, function: FunctionId) {
        if self.known.remove(&function) {
            self.to_forget.push(function);
        }
    }

    /// Tells the worker to end when it has done what it has; it gets no more. False if there is no
    /// room to say so: then this is to be called again.
    pub(crate) fn dismiss(&mut self) -> bool {
        self.leaving = true;
        if !self.is_told {
            // What was killed_for is killed, and its link may be damaged.
            self.is_told = self.killed_for.is_some()
                || self.push(&control(Order::Leave, 0, Placement::Inline), b"").is_some();
        }
        self.is_told
    }

    /// The lower, the sooner it leaves if there are too many: first what is gone or goes anyway, then
    /// what is being set up, then what has been idle for longest, then the newest, as the others
    /// have loaded what tasks need.
    pub(crate) fn rank_to_leave(&self) -> (u8, u64) {
        let kind = match () {
            () if self.leaving || self.killed.is_some() => 0,
            () if !self.ready => 1,
            () if self.load() == 0 => 2,
            () => 3,
        };
        (kind, if kind == 2 { self.idle_since } else { u64::MAX - self.number })
    }

    /// Wakes the worker if anything was put into its ring since the last call.
    pub(crate) fn notify(&mut self) {
        if std::mem::take(&mut self.news) {
            self.link.notify();
        }
    }

    /// The next frame that the worker sent.
    pub(crate) fn receive(&mut self) -> Result<Option<Reported>, CrashCause> {
        if self.link.tasks.is_damaged() {
            return Err(CrashCause::Corrupt);
        }
        let corrupt = |_| CrashCause::Corrupt;
        let Some(frame) = self.link.results.front().map_err(corrupt)? else {
            return Ok(None);
        };
        let mut head = ReportHead::read(frame.body()).ok_or(CrashCause::Corrupt)?;
        let inline = match head.placement {
            Placement::Inline => Some(frame.body()[HEAD..].to_vec()),
            Placement::Block(_) => None,
        };
        frame.release();
        let mut payload = match (inline, head.placement) {
            (None, Placement::Block(block)) => {
                let fd = self.link.as_fd();
                let payload = Payload::import(&mut self.results, fd, block, head.parts);
                if let Err(error) = &payload {
                    if error.kind() == io::ErrorKind::InvalidData {
                        return Err(CrashCause::Corrupt);
                    }
                    lease::give_back(fd, block);
                }
                payload
            }
            (inline, _) => {
                let payload = Payload::from_bytes(inline.unwrap_or_default(), head.parts);
                Ok(payload.ok_or(CrashCause::Corrupt)?)
            }
        };
        if let Ok(payload) = &mut payload
            && head.status & HANDLES != 0
            && !payload.open_handles(|number| bundle(&self.bundles, number))
        {
            return Err(CrashCause::Corrupt);
        }
        head.status &= !HANDLES;
        Ok(Some(Reported { head, payload }))
    }

    /// Takes the oldest task off the books, which must be `id`.
    pub(crate) fn finished(&mut self, id: TaskId) -> Result<InFlight, CrashCause> {
        match self.in_flight.front() {
            Some(oldest) if oldest.id == id => {
                self.last_finished = id;
                if self.clock.take().is_some_and(|clock| clock.warned) {
                    self.link.unwarn();
                }
                let task = self.in_flight.pop_front().ok_or(CrashCause::Corrupt)?;
                self.retriable -= usize::from(task.tries.is_some());
                Ok(task)
            }
            _ => Err(CrashCause::Corrupt),
        }
    }

    /// Takes back up to `count` of the tasks that it would begin last, oldest first.
    pub(crate) fn take_back(&mut self, count: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        while tasks.len() < count
            && let Some(last) = self.in_flight.back()
            && self.link.tasks.revoke(last.position)
            && let Some(last) = self.in_flight.pop_back()
        {
            self.handed -= 1;
            self.retriable -= usize::from(last.tries.is_some());
            tasks.push(last.waiting_again());
        }
        tasks.reverse();
        tasks
    }

    /// What is to become of the tasks that a worker had, after its death.
    pub(crate) fn dead_worker(&mut self) -> DeadWorker {
        let mut last = self.link.last_activity();
        let tasks = std::mem::take(&mut self.in_flight);
        self.retriable = 0;
        let told = self.begun_by_header(&tasks, last.task);
        let count = told.unwrap_or_else(|Corrupt| self.begun_by_frames(&tasks));
        // What it was killed for it had begun, whatever it says.
        let killed = self.killed.and_then(|(id, _)| tasks.iter().position(|task| task.id == id));
        let count = killed.map_or(count, |index| count.max(index + 1));
        let mut begun: Vec<_> = tasks.into();
        let untouched = begun.split_off(count).into_iter().map(InFlight::waiting_again).collect();
        if let Some(task) = begun.iter().find(|task| Some(task.id) == last.task) {
            last.item = last.item.min(task.items.saturating_sub(1));
            last.item_count = last.item_count.clamp(1, (task.items - last.item).max(1));
        }
        DeadWorker { begun, untouched, last, is_damaged: told.is_err() }
    }

    /// How many of its tasks a dead worker had begun, by what the link's header says.
    fn begun_by_header(
        &mut self,
        tasks: &VecDeque<InFlight>,
        held: Option<TaskId>,
    ) -> Result<usize, Corrupt> {
        let head = self.link.tasks.look_at_head()?;
        // A worker gives a frame back after it noted the task. Claimed but not held is not begun: the
        // claim comes before the body is read.
        let released = tasks.iter().take_while(|task| task.position < head).count();
        let Some(held) = held else { return Ok(released) };
        match tasks.iter().position(|task| task.id == held) {
            Some(index) => Ok(released.max(index + 1)),
            // It sent its last result and did not come as far as to note that.
            None if held == self.last_finished => Ok(released),
            None => Err(Corrupt),
        }
    }

    /// The same by the frames themselves, where the header is damaged. What was claimed may have been
    /// begun, with all before it. Where the frames are damaged too, the worker works in order, so
    /// that the oldest task is the one that it was at.
    fn begun_by_frames(&self, tasks: &VecDeque<InFlight>) -> usize {
        let claimed = |task: &InFlight| self.link.tasks.claimed(task.position, task.length());
        let claims: Vec<_> = tasks.iter().map(claimed).collect();
        let last = claims.iter().rposition(|claim| *claim == Ok(true)).map_or(0, |last| last + 1);
        let least = usize::from(claims.contains(&Err(Corrupt)));
        last.max(least)
    }
}

impl InFlight {
    /// How long the body of its frame is.
    fn length(&self) -> usize {
        match &self.body {
            Body::Inline(bytes) => frame_length(Placement::Inline, bytes.len()),
            Body::Block(block) => frame_length(Placement::Block(*block), 0),
        }
    }

    pub(crate) fn waiting_again(self) -> Task {
        self.task
    }
}

/// The bundle of this number. Those before it belong to results that did not fit, which are few.
fn bundle(socket: &Socket, number: u64) -> Option<OwnedFd> {
    for _ in 0..MAX_UNUSED_BUNDLES {
        let mut found = [0; 8];
        match socket.receive(&mut found, false) {
            Ok(Received::Message(8, fds)) if u64::from_le_bytes(found) == number => {
                return fds.into_iter().next();
            }
            Ok(Received::Message(..)) => {}
            _ => break,
        }
    }
    None
}

fn control(order: Order, function: FunctionId, placement: Placement) -> OrderHead {
    OrderHead { order, op: 0, parts: 1, task: 0, function, items: 0, notify_all: false, placement }
}
