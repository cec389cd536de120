//! The worker's side of a pool: takes tasks from its link and puts results into it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::channel::attachments::Attachments;
use crate::channel::link::{Arrivals, WorkerEnd};
use crate::channel::ring::Corrupt;
use crate::crash::crash_point;
use crate::os::bundle::is_too_many;
use crate::os::clock::monotonic_ns;
use crate::os::eventfd::EventFd;
use crate::os::fork;
use crate::os::futex::Woken;
use crate::os::socket::Socket;
use crate::pool::INLINE_LIMIT;
use crate::pool::control_block::ControlBlock;
use crate::pool::payload::{Parts, Payload};
use crate::pool::task::{FunctionId, HANDLES, TaskId};
use crate::pool::wire::{HEAD, Order, OrderHead, Placement, Report, ReportHead, frame_length};
use crate::shm::heap::{BlockRef, Heap, RECEIVER};
use crate::shm::lease::{self, Importer};
use crate::sync::event_count::Notify;
use crate::sync::spin::Spin;

/// How long a worker sleeps at first before the binding may look for signals that came while it fell
/// asleep. Each further sleep is twice as long up to the longest, so that an idle worker soon uses next
/// to no CPU.
const MIN_IDLE_SLEEP: Duration = Duration::from_secs(1);
const MAX_IDLE_SLEEP: Duration = Duration::from_secs(8);
/// How many blocks of results that were large an idle worker looks at in each nap.
const IDLE_LOOKS: usize = 1024;
/// How long it waits when too many descriptors are in sockets.
const FD_RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// What a new worker is given by its zygote.
#[derive(Debug)]
pub struct WorkerFds {
    /// The link's memory.
    pub(crate) link: OwnedFd,
    /// Takes the bundles of results that have handles.
    pub(crate) bundles: OwnedFd,
    /// The memory of the pool's control block.
    pub(crate) control_block: OwnedFd,
    /// Wakes the pool's supervisor.
    pub(crate) watcher: OwnedFd,
}

/// A worker, in the worker's process.
///
/// A task may fork, and the child has a copy of this. It must keep its hands off the link, whose
/// rings have one producer and one consumer: there the copy refuses everything.
#[derive(Debug)]
pub struct Worker {
    depth: u32,
    /// The pid of the zygote.
    parent: u32,
    link: WorkerEnd,
    control_block: ControlBlock,
    watcher: EventFd,
    bundles: Socket,
    /// The number of the last bundle that was sent.
    last_bundle: u64,
    arguments: Importer,
    results: Heap,
    functions: HashMap<FunctionId, Vec<u8>>,
    /// Functions that there was no memory for when they came.
    unread: HashMap<FunctionId, BlockRef>,
    forgotten: Vec<FunctionId>,
    held: Option<Held>,
    /// It is ready, and has not notified the pool of that.
    owes_notification: bool,
    spin: Spin,
    nap: Duration,
    /// Tasks to go before this worker makes room for a fresh one.
    left: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    task: TaskId,
    began: u64,
    notify_all: bool,
}

/// A task as the worker gets it.
#[derive(Debug)]
pub struct Assignment {
    /// The function's number; see [`Worker::function`].
    pub function: FunctionId,
    /// How to apply it; the binding's business.
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
        let control_block = ControlBlock::attach(fds.control_block)?;
        Ok(Self {
            depth: fork::depth(),
            parent: fork::parent_pid(),
            arguments: Importer::default(),
            results: Heap::new(link.segment())?,
            watcher: fds.watcher.into(),
            bundles: fds.bundles.into(),
            last_bundle: 0,
            functions: HashMap::new(),
            unread: HashMap::new(),
            forgotten: Vec::new(),
            held: None,
            owes_notification: false,
            spin: Spin::default(),
            nap: MIN_IDLE_SLEEP,
            left: link.quota(),
            link,
            control_block,
        })
    }

    /// Whether the calling process is a child that the worker's process forked.
    #[must_use]
    #[inline]
    pub fn is_foreign(&self) -> bool {
        self.depth != fork::depth()
    }

    fn refuse_foreign(&self) -> io::Result<()> {
        if self.is_foreign() {
            let message = "this process was forked by a worker and cannot work for the pool";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(())
    }

    /// Tells the pool that the worker is set up.
    ///
    /// # Errors
    /// Never for want of anything but memory.
    pub fn ready(&mut self) -> io::Result<()> {
        // A change of user, which an initializer may have made, turns the kernel's death signal off.
        fork::die_with_parent(self.parent)?;
        self.push(Report::Ready, 0, Parts(&[&&b""[..]]))?;
        // With a task at hand the pool is notified of both at once, with its result.
        self.owes_notification = true;
        Ok(())
    }

    /// Tells the pool that this worker, and any other, cannot be set up.
    ///
    /// # Errors
    /// `OutOfMemory` when the account does not fit.
    pub fn unfit(&mut self, status: u8, account: Parts<'_>) -> io::Result<()> {
        self.report(Report::Unfit, status, account, Notify::All)
    }

    /// Notifies for a worker that is ready and found no task to begin with.
    fn notify_if_owed(&mut self) {
        if std::mem::take(&mut self.owes_notification) {
            self.notify(Notify::All);
        }
    }

    /// Whether the pool was ended, rather than this worker dismissed.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.link.is_ending()
    }

    /// Waits for something to do.
    ///
    /// # Errors
    /// `InvalidData` when the pool wrote nonsense; the worker should end then. `PermissionDenied`
    /// in a child of the worker's process.
    pub fn next_task(&mut self) -> io::Result<Next> {
        self.refuse_foreign()?;
        if self.left == Some(0) {
            return Ok(Next::Leave);
        }
        loop {
            let seen = self.link.event_count().listen();
            // Looked at after listening: the pool notifies when it ends.
            if self.link.is_ending() {
                return Ok(Next::Leave);
            }
            if let Some(next) = self.poll()? {
                self.nap = MIN_IDLE_SLEEP;
                return Ok(next);
            }
            self.notify_if_owed();
            match self.link.event_count().wait(seen, &mut self.spin, Some(self.nap)) {
                Woken::Changed => {}
                Woken::TimedOut | Woken::Interrupted => {
                    self.results.look_around(IDLE_LOOKS);
                    drop(self.results.cooling());
                    // No event tells of a block that comes back, whose pages are to go.
                    let may_come_back = self.results.has_lent();
                    self.nap = if may_come_back {
                        MIN_IDLE_SLEEP
                    } else {
                        (self.nap * 2).min(MAX_IDLE_SLEEP)
                    };
                    return Ok(Next::Interrupted);
                }
            }
        }
    }

    fn poll(&mut self) -> io::Result<Option<Next>> {
        loop {
            let Some(frame) = self.link.tasks.front().map_err(damaged)? else {
                return Ok(None);
            };
            if !frame.claim().map_err(damaged)? {
                continue;
            }
            crash_point!("worker: claimed");
            let head = OrderHead::read(frame.body()).ok_or_else(|| damaged(Corrupt))?;
            if head.order == Order::Run {
                // The pool tells of a function first. Not noted, the task goes to another worker.
                let (known, unread) = (&self.functions, &self.unread);
                if !known.contains_key(&head.function) && !unread.contains_key(&head.function) {
                    return Err(damaged(Corrupt));
                }
                let began = monotonic_ns();
                self.held = Some(Held { task: head.task, began, notify_all: head.notify_all });
                // Before the frame is released: see `WorkerEnd::hold`.
                self.link.hold(Some(head.task), began);
                crash_point!("worker: holds");
            }
            let Some(frame) = self.link.tasks.front().map_err(damaged)? else {
                return Err(damaged(Corrupt));
            };
            let inline = match head.placement {
                Placement::Inline => frame.body()[HEAD..].to_vec(),
                Placement::Block(_) => Vec::new(),
            };
            frame.release();
            crash_point!("worker: released");
            match head.order {
                Order::Run => {
                    if let Some(block) = self.unread.remove(&head.function) {
                        self.define(head.function, block);
                    }
                    let payload = match head.placement {
                        Placement::Inline => Ok(Payload::from_bytes(inline, head.parts)),
                        Placement::Block(block) => self.import(block, head.parts).map(Some),
                    };
                    let payload = payload.and_then(|p| p.ok_or_else(|| damaged(Corrupt)));
                    if let (Err(_), Placement::Block(block)) = (&payload, head.placement) {
                        lease::give_back(self.control_block.segment().as_fd(), block);
                    }
                    let (function, op, items) = (head.function, head.op, head.items);
                    return Ok(Some(Next::Task(Assignment { function, op, items, payload })));
                }
                Order::Define => match head.placement {
                    Placement::Inline => drop(self.functions.insert(head.function, inline)),
                    Placement::Block(block) => self.define(head.function, block),
                },
                Order::Forget => {
                    self.functions.remove(&head.function);
                    if let Some(block) = self.unread.remove(&head.function) {
                        lease::give_back(self.control_block.segment().as_fd(), block);
                    }
                    self.forgotten.push(head.function);
                }
                Order::Leave => return Ok(Some(Next::Leave)),
            }
        }
    }

    fn import(&mut self, block: BlockRef, parts: u32) -> io::Result<Payload> {
        Payload::import(&mut self.arguments, self.control_block.segment().as_fd(), block, parts)
    }

    /// Remembers a function. Without memory for it it stays where it is, its task fails, and the
    /// next of its tasks looks again.
    fn define(&mut self, function: FunctionId, block: BlockRef) {
        let mut bytes = Vec::new();
        let room = usize::try_from(block.length).map(|length| bytes.try_reserve_exact(length));
        // Not opened where there is no room: what is dropped gives the block back.
        let payload = if matches!(room, Ok(Ok(()))) { self.import(block, 1).ok() } else { None };
        if let Some(payload) = payload {
            bytes.extend_from_slice(payload.part(0));
            self.functions.insert(function, bytes);
        } else {
            self.unread.insert(function, block);
        }
    }

    /// The function that a task names, as the binding encoded it; `None` if there was no memory for it.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> Option<&[u8]> {
        self.functions.get(&id).map(Vec::as_slice)
    }

    /// Functions that were forgotten since the last call, for the binding to drop what it made of
    /// them.
    pub fn take_forgotten(&mut self) -> Vec<FunctionId> {
        std::mem::take(&mut self.forgotten)
    }

    /// Says which items of its chunk the worker is at, for the message should it die there.
    #[inline]
    pub fn at_items(&self, first: u32, count: u32) {
        if !self.is_foreign() {
            self.link.at_items(first, count);
        }
    }

    /// Says that this process handles the [signal of warnings](crate::os::warning::WARNING_SIGNAL).
    pub fn heed_warnings(&self) {
        self.link.heed_warnings();
    }

    /// Whether the pool has warned of the task that was taken last and not finished: how long that may
    /// take, and how long it has taken.
    #[must_use]
    pub fn warned(&self) -> Option<(Duration, Duration)> {
        let held = self.held.filter(|_| !self.is_foreign())?;
        let (task, allowed) = self.link.warned();
        let taken = monotonic_ns().saturating_sub(held.began);
        let lengths = (Duration::from_nanos(allowed), Duration::from_nanos(taken));
        (task == held.task).then_some(lengths)
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
    /// and can be finished with a smaller one. `PermissionDenied` in a child of the worker's process.
    pub fn finish(&mut self, status: u8, result: Parts<'_>) -> io::Result<()> {
        let Some(held) = self.held else {
            return Ok(());
        };
        let wants_more = held.notify_all || matches!(self.link.tasks.front(), Ok(None));
        // The pool is to take in bundles before the socket is full.
        let wants_more =
            wants_more || status & HANDLES != 0 || std::mem::take(&mut self.owes_notification);
        let notify = if wants_more { Notify::All } else { Notify::Eager };
        self.report(Report::Finished, status, result, notify)?;
        self.held = None;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    /// As [`finish`](Self::finish), with what the handles in the result lead to: that is the pool's from
    /// now on, and this worker may end.
    ///
    /// # Errors
    /// As there; and the system's, when descriptors have run out.
    pub fn finish_with(
        &mut self,
        status: u8,
        result: Parts<'_>,
        attachments: &Attachments,
    ) -> io::Result<()> {
        if attachments.is_empty() || self.held.is_none() {
            return self.finish(status, result);
        }
        self.refuse_foreign()?;
        self.last_bundle += 1;
        if !self.send_bundle(attachments)? {
            return Ok(());
        }
        let note = attachments.note(self.last_bundle);
        let mut parts = result.0.to_vec();
        parts.push(&note);
        self.finish(status | HANDLES, Parts(&parts))
    }

    /// Sends a bundle ahead of its note; false if the pool has ended.
    fn send_bundle(&self, attachments: &Attachments) -> io::Result<bool> {
        loop {
            let sent = attachments.pack().and_then(|bundle| {
                // Waits for room: the pool has been told of the results whose bundles are in the way.
                self.bundles.send(&self.last_bundle.to_le_bytes(), &[bundle.as_fd()])
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                Err(error) if is_too_many(&error) => {
                    if self.link.is_ending() {
                        return Ok(false);
                    }
                    // No event tells when others have been received.
                    std::thread::sleep(FD_RETRY_INTERVAL);
                }
                sent => return sent.map(|()| true),
            }
        }
    }

    fn report(
        &mut self,
        report: Report,
        status: u8,
        payload: Parts<'_>,
        notify: Notify,
    ) -> io::Result<()> {
        if self.push(report, status, payload)? {
            self.notify(notify);
        }
        Ok(())
    }

    fn notify(&self, notify: Notify) {
        if self.control_block.event_count().notify(notify) {
            crash_point!("worker: owes the watcher a signal");
            self.watcher.signal();
        }
    }

    /// Commits a frame; false if the pool takes nothing in any more.
    fn push(&mut self, report: Report, status: u8, payload: Parts<'_>) -> io::Result<bool> {
        self.refuse_foreign()?;
        let length = payload.encoded_length();
        let placement = if length <= INLINE_LIMIT {
            // Large results that went before may have come back.
            self.results.look_around(1);
            drop(self.results.cooling());
            Placement::Inline
        } else {
            let lent = self.results.lend(length, RECEIVER, |out| payload.encode(out));
            drop(self.results.cooling());
            Placement::Block(lent?)
        };
        crash_point!("worker: result is written");
        let (task, began) = self.held.map_or((0, 0), |held| (held.task, held.began));
        let ended = monotonic_ns();
        let head =
            ReportHead { report, status, parts: payload.count(), task, began, ended, placement };
        let frame = frame_length(placement, length);
        let fill = |out: &mut [u8]| {
            head.write(out);
            if placement == Placement::Inline {
                payload.encode(&mut out[HEAD..]);
            }
        };
        while self.link.results.push(frame, fill).is_none() {
            if !self.wait_for_room(frame) {
                return Ok(false);
            }
        }
        crash_point!("worker: result is committed");
        self.link.hold(None, 0);
        crash_point!("worker: holds nothing");
        Ok(true)
    }

    /// Sleeps until the pool took results; false if it has ended.
    fn wait_for_room(&mut self, frame: usize) -> bool {
        let seen = self.link.event_count().listen();
        if self.link.is_ending() {
            return false;
        }
        self.link.block(true);
        if self.control_block.event_count().notify(Notify::All) {
            self.watcher.signal();
        }
        if !self.link.results.has_room_for(frame) {
            self.link.event_count().wait(seen, &mut self.spin, Some(MIN_IDLE_SLEEP));
        }
        self.link.block(false);
        true
    }
}

fn damaged(corrupt: Corrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, corrupt)
}
