//! `Queue`, a process' handle of a queue, and its wire handles.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::channel::queue::control::{READINESS_FD, TASKS};
use crate::channel::queue::layout::UNIT;
use crate::channel::queue::memory::Memory;
use crate::os::fifo;
use crate::shm::slab::Slot;
use crate::shm::sole_user::is_sole_user;
use crate::shm::wire_handle::{self, WireHandle, WireHandleError};

/// A first-in first-out queue in shared memory, for any number of processes that put and take.
///
/// Forked children inherit it; other processes [open](Self::open) a [wire handle](Self::send).
/// Clones are the same queue. README.md beside this module is the protocol.
///
/// ```
/// use millpond_core::channel::payload::Parts;
/// use millpond_core::channel::queue::{GetError, Options, Queue};
///
/// let queue = Queue::create(Options { capacity: Some(10), ..Options::default() })?;
/// queue.put(7, Parts(&[&&b"bytes"[..]]), None)?;
///
/// let other = Queue::open(&queue.send())?;
/// let mut buffer = Vec::new();
/// let received = other.get(&mut buffer, None)?;
/// assert_eq!((received.tag, &buffer[received.bytes]), (7, &b"bytes"[..]));
/// assert!(matches!(other.try_get(&mut buffer), Err(GetError::Empty)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Queue {
    pub(super) memory: Arc<Memory>,
    /// Whether there is a readiness descriptor; the region has its descriptor.
    pub(super) has_readiness_fd: bool,
}

/// What a queue is to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many items it may hold, at least 1; any number without it.
    pub capacity: Option<u32>,
    /// Whether unfinished tasks are counted, for [`Queue::join`].
    pub tasks: bool,
    /// Whether there is a descriptor to wait for items with, see [`Queue::watch`].
    pub readiness_fd: bool,
}

impl Queue {
    /// What tells a queue from other things in a wire handle.
    pub const KIND: u32 = u32::from_le_bytes(*b"queu");

    /// A new empty queue.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn create(options: Options) -> io::Result<Self> {
        let memory = Memory::create()?;
        let features = if options.tasks { TASKS } else { 0 }
            | if options.readiness_fd { READINESS_FD } else { 0 };
        memory.control().start(options.capacity.map(|capacity| capacity.max(1)), features);
        if options.readiness_fd {
            memory.region().accompany(fifo::create()?)?;
        }
        Ok(Self { memory: Arc::new(memory), has_readiness_fd: options.readiness_fd })
    }

    /// A wire handle that some process will open, once. This process keeps the queue until then.
    #[must_use]
    pub fn send(&self) -> [u8; wire_handle::LENGTH] {
        WireHandle::send(self.memory.slot(), Self::KIND).encode()
    }

    /// A wire handle that will be opened together with the descriptors of the [memory](Self::as_fd)
    /// and, if there is one, of the [readiness descriptor](Self::readiness_fd).
    #[must_use]
    pub fn wire_handle(&self) -> [u8; wire_handle::LENGTH] {
        WireHandle::new(self.memory.slot(), Self::KIND).encode()
    }

    /// The same for one process that is being started.
    #[must_use]
    pub fn wire_handle_for_one(&self) -> [u8; wire_handle::LENGTH] {
        WireHandle::for_one(self.memory.slot(), Self::KIND).encode()
    }

    /// The queue of a wire handle that was sent.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open(wire_handle: &[u8]) -> Result<Self, WireHandleError> {
        Self::behind(WireHandle::decode(wire_handle, Self::KIND)?.open()?)
    }

    /// The queue of a wire handle, behind descriptors that this process was given.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open_with(
        wire_handle: &[u8],
        memory: OwnedFd,
        readiness_fd: Option<OwnedFd>,
    ) -> Result<Self, WireHandleError> {
        Self::behind(WireHandle::decode(wire_handle, Self::KIND)?.open_with(memory, readiness_fd)?)
    }

    fn behind(slot: Slot) -> Result<Self, WireHandleError> {
        let memory = Memory::in_slot(slot)?;
        let has_readiness_fd = memory.control().has(READINESS_FD);
        if has_readiness_fd && memory.region().companion().is_none() {
            return Err(WireHandleError::Damaged);
        }
        Ok(Self { memory: Arc::new(memory), has_readiness_fd })
    }

    /// The memory of a queue without a readiness descriptor, for a wire handle of a kind that the
    /// caller chooses.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        self.memory.slot()
    }

    /// The queue in memory that a wire handle led to.
    ///
    /// # Errors
    /// [`WireHandleError::Damaged`] if it is no queue, or one with a readiness descriptor.
    pub fn in_slot(slot: Slot) -> Result<Self, WireHandleError> {
        let memory = Memory::in_slot(slot)?;
        if memory.control().has(READINESS_FD) {
            return Err(WireHandleError::Damaged);
        }
        Ok(Self { memory: Arc::new(memory), has_readiness_fd: false })
    }

    /// What tells this queue from all others of this machine.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.memory.region().identity()
    }

    /// Whether no other process has the queue, nor can come to have it.
    #[must_use]
    pub fn is_sole_user(&self) -> bool {
        is_sole_user(self.memory.control())
    }

    /// How many items were put and not yet taken, at this moment.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory.control().length()
    }

    /// Whether there is nothing to take, at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a put would have to wait, at this moment.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.memory.control().capacity().is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many items it may hold; `None` for any number.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        self.memory.control().capacity().map(|capacity| u32::try_from(capacity).unwrap_or(u32::MAX))
    }

    /// A descriptor that is readable while the queue has items, if it was created with
    /// [`Options::readiness_fd`](crate::channel::queue::Options::readiness_fd). Only wait for it,
    /// as with `poll`: what can be read from it is none of the caller's business.
    #[must_use]
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        let (readiness_fd, control) = (self.readiness_fd()?, self.memory.control());
        control.readiness_fd.watch(readiness_fd, || control.length() > 0);
        Some(readiness_fd)
    }

    /// The descriptor as it is passed to others, without watching it.
    #[must_use]
    pub fn readiness_fd(&self) -> Option<BorrowedFd<'_>> {
        if self.has_readiness_fd { self.memory.region().companion() } else { None }
    }

    /// Keeps the readiness descriptor true after a commit.
    #[inline]
    pub(super) fn committed_for_watchers(&self) {
        if let Some(readiness_fd) = self.readiness_fd() {
            let control = self.memory.control();
            control.readiness_fd.committed(readiness_fd, || control.length() > 0);
        }
    }

    /// Waits, before an item of `length` bytes is put, for memory that consumers are about to give
    /// back: only if fresh pages would be needed and at least two items are in the queue, and no
    /// longer than these pages would cost, 2 ms at most. For producers that nothing else holds up.
    pub fn await_reuse(&self, length: usize) {
        let (control, units) = (self.memory.control(), length.div_ceil(UNIT) as u64);
        self.memory.reuse.wait(units, || control.heap.warm(), || control.length());
    }

    /// How many bytes of memory it has at this moment, in use or kept for use.
    ///
    /// # Errors
    /// The system's.
    pub fn memory(&self) -> io::Result<u64> {
        let blocks = rustix::fs::fstat(self.memory.region().as_fd())?.st_blocks;
        Ok(blocks.cast_unsigned() * 512)
    }
}

impl AsFd for Queue {
    /// The descriptor of its memory.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.region().as_fd()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Queue");
        debug.field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}
