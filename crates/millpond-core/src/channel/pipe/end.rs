//! `End`, one end of a pipe: its socket and, if it has them, the rings.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::blocks::Blocks;
use super::mappings::Mappings;
use super::outgoing::{LARGEST_PACKET, OutgoingMessage};
use super::packet::PREFIX;
use super::rings::{MaybeAttached, Rings};
use crate::channel::attachments::Attachments;
use crate::os::bundle::is_too_many;
use crate::os::refused::error_of;
use crate::pool::payload::Parts;

/// What each end asks the system for: more small messages fit, so that fewer wake-ups are needed.
const BUFFER_SIZE: usize = 256 << 10;

/// One end of a pipe, which carries whole messages.
///
/// Any number of threads and processes may use an end at once; each message is sent whole and
/// received by one of them.
///
/// # Example
/// ```
/// use millpond_core::channel::pipe::{End, Message};
/// use millpond_core::pool::payload::Parts;
///
/// let (left, right) = End::pair()?;
/// let mut message = left.prepare(0, Parts(&[&&b"hello"[..]]))?;
/// assert!(left.try_send(&mut message)?);
/// let mut buffer = End::buffer();
/// match right.try_receive(&mut buffer)? {
///     Some(Message::Inline { bytes, .. }) => assert_eq!(bytes, b"hello"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct End {
    /// Closed before the others learn of it by `attached`: fields are dropped in their order.
    pub(super) socket: OwnedFd,
    buffer_size: usize,
    blocks: Blocks,
    pub(super) mappings: Mappings,
    pub(super) attached: MaybeAttached,
}

/// A packet in the caller's buffer, and the descriptors that came with it. It is to be
/// [opened](End::open) with that buffer.
#[derive(Debug)]
pub struct Incoming {
    /// Where in the buffer the packet is.
    pub(super) place: Range<usize>,
    pub(super) fd: Option<OwnedFd>,
    pub(super) bundle: Option<OwnedFd>,
}

impl End {
    /// Two ends, connected; closed in programs that are executed.
    ///
    /// # Errors
    /// The system's, when file descriptors have run out.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .map_err(error_of("socketpair"))?;
        for end in [&a, &b] {
            // What is more than the system allows is cut to that.
            sockopt::set_socket_send_buffer_size(end, BUFFER_SIZE)?;
        }
        let (a, b) = (Self::new(a)?, Self::new(b)?);
        let rings = Arc::new(Rings::new()?);
        a.attach(Arc::clone(&rings), 0);
        b.attach(rings, 1);
        Ok((a, b))
    }

    /// The end behind a descriptor that came from another process. It sends by the socket alone
    /// unless it is given its [rings](Self::attach); to receive it finds them by itself.
    ///
    /// # Errors
    /// `InvalidInput` if it is not the socket of a pipe; the descriptor is closed then.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        if Self::is_one(fd.as_raw_fd()) {
            Self::new(fd)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// Whether the descriptor of this number is open and the socket of a pipe.
    #[must_use]
    pub fn is_one(number: RawFd) -> bool {
        // SAFETY: the kernel looks the number up and says so if it is not open; nothing is read,
        // written or closed through it.
        let fd = unsafe { BorrowedFd::borrow_raw(number.max(0)) };
        sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
            && sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
    }

    fn new(socket: OwnedFd) -> io::Result<Self> {
        let buffer_size = sockopt::socket_send_buffer_size(&socket)?;
        let (blocks, mappings) = (Blocks::default(), Mappings::default());
        let attached = MaybeAttached::default();
        Ok(Self { socket, buffer_size, blocks, mappings, attached })
    }

    /// A buffer that every packet fits into, to be used for many.
    #[must_use]
    pub fn buffer() -> Vec<u8> {
        vec![0; PREFIX + LARGEST_PACKET]
    }

    /// Makes a message of `parts` ready. `kind` is a mark for the receiver.
    ///
    /// # Errors
    /// `StorageFull`, `OutOfMemory` or the system's, when there is no memory or descriptor for a
    /// large one.
    pub fn prepare(&self, kind: u8, parts: Parts<'_>) -> io::Result<OutgoingMessage<'_>> {
        OutgoingMessage::new(&self.blocks, self.buffer_size, kind, parts)
    }

    /// As [`prepare`](Self::prepare), with what the handles in the message lead to: that is the
    /// receiver's from when it is sent, and this process may end.
    ///
    /// # Errors
    /// As there; `None` instead of a message if too many descriptors are in sockets now.
    pub fn prepare_with(
        &self,
        kind: u8,
        parts: Parts<'_>,
        attachments: &Attachments,
    ) -> io::Result<Option<OutgoingMessage<'_>>> {
        match OutgoingMessage::with(&self.blocks, self.buffer_size, kind, parts, attachments) {
            Err(error) if is_too_many(&error) => Ok(None),
            prepared => prepared.map(Some),
        }
    }

    /// Makes a small message of one part ready, which was written where it is sent from: behind
    /// [`HEADER`](super::packet::HEADER) bytes that are overwritten.
    ///
    /// # Panics
    /// When `packet` is shorter than the header or longer than [`LARGEST_PACKET`].
    #[must_use]
    pub fn prepare_packet(&self, kind: u8, packet: Vec<u8>) -> OutgoingMessage<'_> {
        OutgoingMessage::in_packet(&self.blocks, kind, packet)
    }

    /// The descriptor of the rings' memory, and which of the two ends this is: what another process
    /// needs beside the socket to use it as this one does.
    #[must_use]
    pub fn rings(&self) -> Option<(Arc<Rings>, u8)> {
        let attached = self.attached.get().filter(|attached| attached.sends)?;
        Some((Arc::clone(&attached.rings), attached.side))
    }

    /// To be called when the number of its socket leaves the engine: other processes may then get
    /// duplicates of it, uncounted.
    pub fn give_to_anybody(&self) {
        if let Some(attached) = self.attached.get() {
            attached.rings.give_to_anybody();
        }
    }

    /// Whether no other process has the pipe, by either end, nor can come to have it. False where
    /// that cannot be told.
    #[must_use]
    pub fn is_sole_user(&self) -> bool {
        self.attached.get().is_some_and(|attached| attached.rings.is_sole_user())
    }

    /// Gives an end that was made from a descriptor the [rings](Self::rings) that belong to it,
    /// before it is used.
    pub fn attach(&self, rings: Arc<Rings>, side: u8) {
        self.attached.set(rings, side & 1, true);
    }

    /// The same for an end that was [given](Rings::give_to_one) to this process.
    pub fn attach_given(&self, rings: Arc<Rings>, side: u8) {
        rings.was_given_to_one();
        self.attach(rings, side);
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<End> for OwnedFd {
    fn from(mut end: End) -> Self {
        // The end is not closed by this.
        drop(end.attached.take());
        end.socket
    }
}
