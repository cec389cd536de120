//! The handle of a queue, and how it travels.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::channel::queue::control::{TASKS, TOKEN};
use crate::channel::queue::memory::Memory;
use crate::os::fork;
use crate::shm::slab::Slot;
use crate::shm::sole_user::is_sole_user;
use crate::shm::ticket::{self, Ticket, TicketError};

/// A first-in first-out queue in shared memory, for any number of processes that put and take.
///
/// Forked children inherit it; other processes [open](Self::open) a [ticket](Self::send). Clones
/// are the same queue. README.md beside this module is the protocol.
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
    /// Whether there is a token; the region has its descriptor.
    pub(super) has_token: bool,
}

/// What a queue is to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many items it may hold, at least 1; any number without it.
    pub capacity: Option<u32>,
    /// Whether unfinished tasks are counted, for [`Queue::join`].
    pub tasks: bool,
    /// Whether there is a descriptor to wait for items with, see [`Queue::watch`].
    pub token: bool,
}

/// How many bytes an encoded ticket of a queue has: that of its memory, then the process and the
/// descriptor of its token.
pub const TICKET_LENGTH: usize = ticket::LENGTH + 8;

impl Queue {
    /// What tells a queue from other things in a ticket.
    pub const KIND: u32 = u32::from_le_bytes(*b"queu");

    /// A new empty queue.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn create(options: Options) -> io::Result<Self> {
        let memory = Memory::create()?;
        let features =
            if options.tasks { TASKS } else { 0 } | if options.token { TOKEN } else { 0 };
        memory.control().start(options.capacity.map(|capacity| capacity.max(1)), features);
        if options.token {
            memory.create_token()?;
        }
        Ok(Self { memory: Arc::new(memory), has_token: options.token })
    }

    /// A ticket that some process will open, once. This process keeps the queue until then.
    #[must_use]
    pub fn send(&self) -> [u8; TICKET_LENGTH] {
        self.encode(Ticket::send(self.memory.slot(), Self::KIND))
    }

    /// A ticket that will be opened together with the descriptors of the [memory](Self::as_fd) and,
    /// if there is one, of the [token](Self::token).
    #[must_use]
    pub fn ticket(&self) -> [u8; TICKET_LENGTH] {
        self.encode(Ticket::new(self.memory.slot(), Self::KIND))
    }

    /// The same for one process that is being started.
    #[must_use]
    pub fn ticket_for_one(&self) -> [u8; TICKET_LENGTH] {
        self.encode(Ticket::for_one(self.memory.slot(), Self::KIND))
    }

    fn encode(&self, ticket: Ticket) -> [u8; TICKET_LENGTH] {
        let mut bytes = [0; TICKET_LENGTH];
        bytes[..ticket::LENGTH].copy_from_slice(&ticket.encode());
        if let Some(token) = self.token() {
            let fd = token.as_raw_fd().cast_unsigned();
            bytes[ticket::LENGTH..][..4].copy_from_slice(&fork::pid().to_le_bytes());
            bytes[ticket::LENGTH + 4..].copy_from_slice(&fd.to_le_bytes());
        }
        bytes
    }

    /// The queue of a ticket that was sent.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open(ticket: &[u8]) -> Result<Self, TicketError> {
        let (memory, token) = split(ticket)?;
        let memory = Memory::in_slot(Ticket::decode(memory, Self::KIND)?.open()?)?;
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| token[at + i]));
        let has_token = memory.control().has(TOKEN);
        if has_token && memory.token().is_none() {
            let pid = number(0);
            match memory.open_token(pid, number(4)) {
                Ok(true) => {}
                Ok(false) => return Err(TicketError::SenderGone { pid }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(TicketError::SenderGone { pid });
                }
                Err(error) => return Err(TicketError::System(error)),
            }
        }
        Ok(Self { memory: Arc::new(memory), has_token })
    }

    /// The queue of a ticket, behind descriptors that this process was given.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn open_with(
        ticket: &[u8],
        memory: OwnedFd,
        token: Option<OwnedFd>,
    ) -> Result<Self, TicketError> {
        let ticket = Ticket::decode(split(ticket)?.0, Self::KIND)?;
        let memory = Memory::in_slot(ticket.open_with(memory)?)?;
        let has_token = memory.control().has(TOKEN);
        if has_token && !memory.attach_token(token.ok_or(TicketError::Damaged)?)? {
            return Err(TicketError::Damaged);
        }
        Ok(Self { memory: Arc::new(memory), has_token })
    }

    /// The memory of a queue without a token, for a ticket of a kind that the caller chooses.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        self.memory.slot()
    }

    /// The queue in memory that a ticket led to.
    ///
    /// # Errors
    /// [`TicketError::Damaged`] if it is no queue, or one with a token.
    pub fn in_slot(slot: Slot) -> Result<Self, TicketError> {
        let memory = Memory::in_slot(slot)?;
        if memory.control().has(TOKEN) {
            return Err(TicketError::Damaged);
        }
        Ok(Self { memory: Arc::new(memory), has_token: false })
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

    /// How many bytes of memory it has at this moment, in use or kept for use.
    ///
    /// # Errors
    /// The system's.
    pub fn memory(&self) -> io::Result<u64> {
        let blocks = rustix::fs::fstat(self.memory.region().as_fd())?.st_blocks;
        Ok(blocks.cast_unsigned() * 512)
    }
}

/// A ticket's two parts.
fn split(ticket: &[u8]) -> Result<(&[u8], &[u8]), TicketError> {
    if ticket.len() != TICKET_LENGTH {
        return Err(TicketError::Damaged);
    }
    Ok(ticket.split_at(ticket::LENGTH))
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
