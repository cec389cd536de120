//! The worker's side of a pool: takes tasks from its link and puts results into it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::channel::link::{Arrivals, WorkerEnd};
use crate::channel::ring::Corrupt;
use crate::crash::crash_point;
use crate::os::clock::monotonic_ns;
use crate::os::eventfd::EventFd;
use crate::os::futex::Woken;
use crate::pool::INLINE_LIMIT;
use crate::pool::commons::Commons;
use crate::pool::payload::{Parts, Payload};
use crate::pool::task::{FunctionId, HANDLES, TaskId};
use crate::pool::wire::{HEAD, Lane, Order, OrderHead, Report, ReportHead, frame_length};
use crate::shm::heap::Heap;
use crate::shm::lease::Importer;
use crate::sync::bell::Loudness;
use crate::sync::spin::Spin;

/// How long a worker sleeps before the door may look for signals that came while it fell asleep.
const NAP: Duration = Duration::from_secs(1);

/// What a new worker is given by its zygote.
#[derive(Debug)]
pub struct WorkerFds {
    /// The link's memory.
    pub link: OwnedFd,
    /// The memory of the pool's commons.
    pub commons: OwnedFd,
    /// Wakes the pool's supervisor.
    pub watcher: OwnedFd,
}

/// A worker, in the worker's process.
#[derive(Debug)]
pub struct Worker {
    link: WorkerEnd,
    commons: Commons,
    watcher: EventFd,
    arguments: Importer,
    results: Heap,
    functions: HashMap<FunctionId, Vec<u8>>,
    forgotten: Vec<FunctionId>,
    held: Option<Held>,
    spin: Spin,
    /// Tasks to go before this worker makes room for a fresh one.
    left: Option<u64>,
    traced: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    task: TaskId,
    began: u64,
    loud: bool,
}

/// A task as the worker gets it.
#[derive(Debug)]
pub struct Assignment {
    /// The function's number; see [`Worker::function`].
    pub function: FunctionId,
    /// How to apply it; the door's business.
    pub op: u8,
    /// How many items the chunk has.
    pub items: u32,
    /// The arguments, or why they cannot be had here; then the task is to be finished as failed.
    pub payload: io::Result<Payload>,
}

/// What a worker is to do next.
#[derive(Debug)]
pub enum Next {
    /// Run this and call [`Worker::finish`].
    Task(Assignment),
    /// End: there is no more work for this worker.
    Leave,
    /// Nothing yet; a signal may have come.
    Interrupted,
}

impl Worker {
    /// Takes up the link that the zygote passed on.
    ///
    /// # Errors
    /// The system's; `InvalidData` if the pool is of another version.
    pub fn attach(fds: WorkerFds) -> io::Result<Self> {
        let link = WorkerEnd::attach(fds.link)?;
        let commons = Commons::attach(fds.commons)?;
        Ok(Self {
            arguments: Importer::default(),
            results: Heap::new(link.segment())?,
            watcher: fds.watcher.into(),
            functions: HashMap::new(),
            forgotten: Vec::new(),
            held: None,
            spin: Spin::default(),
            left: commons.tasks_per_worker(),
            traced: commons.is_traced(),
            link,
            commons,
        })
    }

    /// Tells the pool that the worker is set up.
    ///
    /// # Errors
    /// Never for want of anything but memory.
    pub fn ready(&mut self) -> io::Result<()> {
        self.report(Report::Ready, 0, Parts(&[&&b""[..]]), Loudness::Loud)
    }

    /// Tells the pool that this worker, and any other, cannot be set up.
    ///
    /// # Errors
    /// `OutOfMemory` when the account does not fit.
    pub fn unfit(&mut self, status: u8, account: Parts<'_>) -> io::Result<()> {
        self.report(Report::Unfit, status, account, Loudness::Loud)
    }

    /// Waits for something to do.
    ///
    /// # Errors
    /// `InvalidData` when the pool wrote nonsense; the worker should end then.
    pub fn next_task(&mut self) -> io::Result<Next> {
        if self.left == Some(0) || self.commons.is_ending() {
            return Ok(Next::Leave);
        }
        loop {
            let seen = self.link.bell().listen();
            if let Some(next) = self.poll()? {
                return Ok(next);
            }
            match self.link.bell().wait(seen, &mut self.spin, Some(NAP)) {
                Woken::Changed => {}
                Woken::TimedOut | Woken::Interrupted => return Ok(Next::Interrupted),
            }
        }
    }

    fn poll(&mut self) -> io::Result<Option<Next>> {
        loop {
            let Some(frame) = self.link.tasks.front().map_err(damaged)? else {
                return Ok(None);
            };
            if !frame.claim() {
                continue;
            }
            crash_point!("worker: claimed");
            let head = OrderHead::read(frame.body()).ok_or_else(|| damaged(Corrupt))?;
            if head.order == Order::Run {
                let began = if self.traced { monotonic_ns() } else { 0 };
                self.held = Some(Held { task: head.task, began, loud: head.loud });
                // Before the frame is released: see `WorkerEnd::hold`.
                self.link.hold(head.task, began);
                crash_point!("worker: holds");
            }
            let Some(frame) = self.link.tasks.front().map_err(damaged)? else {
                return Err(damaged(Corrupt));
            };
            let inline = match head.lane {
                Lane::Inline => frame.body()[HEAD..].to_vec(),
                Lane::Block(_) => Vec::new(),
            };
            frame.release();
            crash_point!("worker: released");
            let payload = match head.lane {
                Lane::Inline => Ok(Payload::from_bytes(inline, head.parts)),
                Lane::Block(block) => self
                    .arguments
                    .open(self.commons.segment().as_fd(), block)
                    .map(|lease| Payload::from_lease(lease, head.parts)),
            };
            let payload = payload.and_then(|payload| payload.ok_or_else(|| damaged(Corrupt)));
            match head.order {
                Order::Run => {
                    let (function, op, items) = (head.function, head.op, head.items);
                    return Ok(Some(Next::Task(Assignment { function, op, items, payload })));
                }
                Order::Define => {
                    // Without room for it the function stays unknown, and its tasks fail.
                    if let Ok(payload) = payload {
                        self.functions.insert(head.function, payload.into_bytes());
                    }
                }
                Order::Forget => {
                    self.functions.remove(&head.function);
                    self.forgotten.push(head.function);
                }
                Order::Leave => return Ok(Some(Next::Leave)),
            }
        }
    }

    /// The function that a task names, as the door encoded it.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> Option<&[u8]> {
        self.functions.get(&id).map(Vec::as_slice)
    }

    /// Functions that were forgotten since the last call, for the door to drop what it made of
    /// them.
    pub fn take_forgotten(&mut self) -> Vec<FunctionId> {
        std::mem::take(&mut self.forgotten)
    }

    /// Says which items of its chunk the worker is at, for the message should it die there.
    pub fn at_items(&self, first: u32, count: u32) {
        self.link.at_items(first, count);
    }

    /// Where to note which handles among a task's arguments have been opened.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        self.link.arrivals()
    }

    /// Whether a task was taken and not finished.
    #[must_use]
    pub fn holds_task(&self) -> bool {
        self.held.is_some()
    }

    /// Sends the result of the task that was taken last; does nothing if there is none.
    ///
    /// # Errors
    /// `StorageFull` or `OutOfMemory` when the result does not fit; the task is still held then
    /// and can be finished with a smaller one.
    pub fn finish(&mut self, status: u8, result: Parts<'_>) -> io::Result<()> {
        let Some(held) = self.held else {
            return Ok(());
        };
        let wants_more = held.loud || matches!(self.link.tasks.front(), Ok(None));
        // Shared objects are to reach the pool while this process, which has them, lives.
        let wants_more = wants_more || status & HANDLES != 0;
        let loudness = if wants_more { Loudness::Loud } else { Loudness::Quiet };
        self.report(Report::Finished, status, result, loudness)?;
        self.held = None;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    fn report(
        &mut self,
        report: Report,
        status: u8,
        payload: Parts<'_>,
        loudness: Loudness,
    ) -> io::Result<()> {
        let length = payload.encoded_length();
        let lane = if length <= INLINE_LIMIT {
            Lane::Inline
        } else {
            Lane::Block(self.results.lend(length, |out| payload.encode(out))?)
        };
        crash_point!("worker: result is written");
        let (task, began) = self.held.map_or((0, 0), |held| (held.task, held.began));
        let ended = if self.traced { monotonic_ns() } else { 0 };
        let head = ReportHead { report, status, parts: payload.count(), task, began, ended, lane };
        let frame = frame_length(lane, length);
        let fill = |out: &mut [u8]| {
            head.write(out);
            if lane == Lane::Inline {
                payload.encode(&mut out[HEAD..]);
            }
        };
        while self.link.results.push(frame, fill).is_none() {
            self.wait_for_room(frame);
        }
        crash_point!("worker: result is committed");
        self.link.hold(0, 0);
        crash_point!("worker: holds nothing");
        if self.commons.bell().ring(loudness) {
            crash_point!("worker: owes the watcher a signal");
            self.watcher.signal();
        }
        Ok(())
    }

    /// Sleeps until the pool took results.
    fn wait_for_room(&mut self, frame: usize) {
        let seen = self.link.bell().listen();
        self.link.block(true);
        if self.commons.bell().ring(Loudness::Loud) {
            self.watcher.signal();
        }
        if !self.link.results.has_room_for(frame) {
            self.link.bell().wait(seen, &mut self.spin, Some(NAP));
        }
        self.link.block(false);
    }
}

fn damaged(corrupt: Corrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, corrupt)
}
