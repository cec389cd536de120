//! A worker as its pool sees it.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use crate::channel::link::{LARGEST_FRAME, LastActivity, PoolEnd};
use crate::os::clock::monotonic_ns;
use crate::pool::INLINE_LIMIT;
use crate::pool::function::Functions;
use crate::pool::luggage::Luggage;
use crate::pool::payload::Payload;
use crate::pool::task::{Body, CrashCause, FunctionId, JobId, Task, TaskId};
use crate::pool::wire::{HEAD, Lane, Order, OrderHead, ReportHead, frame_length};
use crate::shm::heap::{BlockRef, Heap};
use crate::shm::lease::Importer;

/// How many tasks a worker is handed ahead of time. They can be taken back until it begins them.
pub(crate) const PREFETCH: usize = 64;
/// A worker rings loudly when this many tasks were done since the last loud one.
const LOUD_EVERY: u64 = 32;

/// One worker of a pool, from the order to fork it until its death was dealt with.
#[derive(Debug)]
pub(crate) struct Member {
    /// Counted from 1 within the pool; never used again.
    pub(crate) number: u64,
    /// Which of the pool's places it fills; its replacement takes the same.
    pub(crate) place: u32,
    pub(crate) pid: Option<u32>,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) ready: bool,
    /// It was told to leave, or will leave by itself after the tasks that it has.
    pub(crate) leaving: bool,
    pub(crate) started_ns: u64,
    /// When a task was handed to it last; ties among the least loaded go to the latest.
    pub(crate) used: Option<Instant>,
    link: PoolEnd,
    results: Importer,
    /// Tasks in its ring or running, in order.
    in_flight: VecDeque<InFlight>,
    known: HashSet<FunctionId>,
    to_forget: Vec<FunctionId>,
    handed: u64,
    /// Tasks that it takes in its life, if that is limited.
    quota: Option<u64>,
    news: bool,
    /// Why the pool killed it, if it did.
    pub(crate) condemned: Option<CrashCause>,
}

/// A task that was handed to a worker.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) id: TaskId,
    pub(crate) job: JobId,
    pub(crate) index: u64,
    pub(crate) function: FunctionId,
    pub(crate) items: u32,
    op: u8,
    parts: u32,
    position: u64,
    block: Option<BlockRef>,
    pub(crate) luggage: Option<Box<dyn Luggage>>,
}

/// A frame from a worker.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) head: ReportHead,
    pub(crate) payload: Payload,
}

impl Member {
    pub(crate) fn new(number: u64, place: u32, quota: Option<u64>) -> io::Result<Self> {
        let link = PoolEnd::create()?;
        Ok(Self {
            number,
            place,
            pid: None,
            pidfd: None,
            ready: false,
            leaving: false,
            started_ns: monotonic_ns(),
            used: None,
            link,
            results: Importer::default(),
            in_flight: VecDeque::new(),
            known: HashSet::new(),
            to_forget: Vec::new(),
            handed: 0,
            quota,
            news: false,
            condemned: None,
        })
    }

    pub(crate) fn link(&self) -> &PoolEnd {
        &self.link
    }

    /// How many tasks it has, running one included.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.iter()
    }

    /// Whether it takes one more task.
    pub(crate) fn accepts(&self) -> bool {
        !self.leaving && self.load() < PREFETCH && self.quota.is_none_or(|q| self.handed < q)
    }

    /// Puts a task into its ring, its function first if the worker does not know it. Gives the
    /// task back when there is no room.
    pub(crate) fn hand(
        &mut self,
        task: Task,
        functions: &Functions,
        heap: &mut Heap,
    ) -> Result<(), Task> {
        if !self.tell_functions(task.function, functions, heap) {
            return Err(task);
        }
        let (lane, inline): (_, &[u8]) = match &task.body {
            Body::Inline(bytes) => (Lane::Inline, bytes),
            Body::Block(block) => (Lane::Block(*block), &[]),
        };
        let head = OrderHead {
            order: Order::Run,
            op: task.op,
            parts: task.parts,
            task: task.id,
            function: task.function,
            items: task.items,
            loud: self.handed % LOUD_EVERY == LOUD_EVERY - 1,
            lane,
        };
        let Some(position) = push(&mut self.link, &head, inline) else {
            return Err(task);
        };
        let block = match task.body {
            Body::Block(block) => Some(block),
            Body::Inline(_) => None,
        };
        if let Some(block) = block {
            heap.hand_to(block, self.number);
        }
        let Task { id, job, index, function, op, items, parts, luggage, .. } = task;
        self.in_flight.push_back(InFlight {
            id,
            job,
            index,
            function,
            items,
            op,
            parts,
            position,
            block,
            luggage,
        });
        self.handed += 1;
        self.news = true;
        Ok(())
    }

    /// Makes sure that the worker knows `function` and has heard which ones to forget.
    fn tell_functions(&mut self, function: FunctionId, all: &Functions, heap: &mut Heap) -> bool {
        while let Some(&forget) = self.to_forget.last() {
            if push(&mut self.link, &control(Order::Forget, forget, Lane::Inline), b"").is_none() {
                return false;
            }
            self.to_forget.pop();
        }
        if self.known.contains(&function) {
            return true;
        }
        let bytes = all.bytes(function).unwrap_or_default();
        let told = if bytes.len() <= INLINE_LIMIT {
            push(&mut self.link, &control(Order::Define, function, Lane::Inline), &bytes).is_some()
        } else {
            // A copy for each worker: it is the worker that frees it.
            heap.lend(bytes.len(), |out| out.copy_from_slice(&bytes)).is_ok_and(|block| {
                heap.hand_to(block, self.number);
                let define = control(Order::Define, function, Lane::Block(block));
                let pushed = push(&mut self.link, &define, b"").is_some();
                if !pushed {
                    heap.free(block);
                }
                pushed
            })
        };
        if told {
            self.known.insert(function);
        }
        told
    }

    /// Has the worker forget a function, some time.
    pub(crate) fn forget(&mut self, function: FunctionId) {
        if self.known.remove(&function) {
            self.to_forget.push(function);
        }
    }

    /// Tells the worker to end when it has done what it has. False if there is no room to say so.
    pub(crate) fn dismiss(&mut self) -> bool {
        if !self.leaving {
            self.leaving =
                push(&mut self.link, &control(Order::Leave, 0, Lane::Inline), b"").is_some();
            self.news |= self.leaving;
        }
        self.leaving
    }

    /// Wakes the worker if anything was put into its ring since the last call.
    pub(crate) fn announce(&mut self) {
        if std::mem::take(&mut self.news) {
            self.link.ring();
        }
    }

    /// The next frame that the worker sent.
    pub(crate) fn receive(&mut self) -> Result<Option<Reported>, CrashCause> {
        let corrupt = |_| CrashCause::Corrupt;
        let Some(frame) = self.link.results.front().map_err(corrupt)? else {
            return Ok(None);
        };
        let head = ReportHead::read(frame.body()).ok_or(CrashCause::Corrupt)?;
        let inline = match head.lane {
            Lane::Inline => Some(frame.body()[HEAD..].to_vec()),
            Lane::Block(_) => None,
        };
        frame.release();
        let payload = match (inline, head.lane) {
            (None, Lane::Block(block)) => {
                let lease = self.results.open(self.link.as_fd(), block);
                let lease = lease.map_err(|error| match error.kind() {
                    io::ErrorKind::InvalidData => CrashCause::Corrupt,
                    _ => CrashCause::Unmappable,
                })?;
                Payload::from_lease(lease, head.parts)
            }
            (inline, _) => Payload::from_bytes(inline.unwrap_or_default(), head.parts),
        };
        let payload = payload.ok_or(CrashCause::Corrupt)?;
        Ok(Some(Reported { head, payload }))
    }

    /// Takes the oldest task off the books, which must be `id`.
    pub(crate) fn finished(&mut self, id: TaskId) -> Result<InFlight, CrashCause> {
        match self.in_flight.front() {
            Some(oldest) if oldest.id == id => {
                self.in_flight.pop_front().ok_or(CrashCause::Corrupt)
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
            tasks.push(self.waiting_again(last));
        }
        tasks.reverse();
        tasks
    }

    /// After the worker's death: what it had begun and did not finish, and what it had not begun.
    pub(crate) fn estate(&mut self) -> (Vec<InFlight>, Vec<Task>, LastActivity) {
        let last = self.link.last_activity();
        let mut begun = Vec::new();
        let mut untouched = Vec::new();
        for task in std::mem::take(&mut self.in_flight) {
            // A worker gives a frame back after it noted the task, and its bytes may be gone.
            if task.id == last.task || self.link.tasks.is_released(task.position) {
                begun.push(task);
            } else {
                // Claimed but not held is not begun: the claim comes before the body is read.
                untouched.push(self.waiting_again(task));
            }
        }
        (begun, untouched, last)
    }

    fn waiting_again(&self, task: InFlight) -> Task {
        let body = match task.block {
            Some(block) => Body::Block(block),
            None => Body::Inline(self.link.tasks.body(task.position)[HEAD..].to_vec()),
        };
        let InFlight { id, job, index, function, op, items, parts, luggage, .. } = task;
        Task { id, job, index, function, op, items, parts, body, luggage }
    }
}

fn control(order: Order, function: FunctionId, lane: Lane) -> OrderHead {
    OrderHead { order, op: 0, parts: 1, task: 0, function, items: 0, loud: false, lane }
}

fn push(link: &mut PoolEnd, head: &OrderHead, inline: &[u8]) -> Option<u64> {
    let length = frame_length(head.lane, inline.len());
    debug_assert!(length <= LARGEST_FRAME);
    link.tasks.push(length, |out| {
        head.write(out);
        if head.lane == Lane::Inline {
            out[HEAD..].copy_from_slice(inline);
        }
    })
}
