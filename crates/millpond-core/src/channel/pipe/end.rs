//! One end of a pipe.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, sockopt,
};

use super::blocks::Blocks;
use super::error::ReceiveError;
use super::mappings::{Mappings, no_descriptor};
use super::message::Message;
use super::outgoing::{LARGEST_PACKET, Outgoing};
use super::packet::{Packet, parse};
use crate::crash::crash_point;
use crate::os::ready::{self, Interest, Waited};
use crate::pool::payload::{Parts, Payload};

/// What each end asks the system for: more small messages fit, so that fewer wake-ups are needed.
const BUFFER_SIZE: usize = 256 << 10;
/// How long to wait when too many descriptors are in flight, which no event ends.
const TOO_MANY_IN_FLIGHT: Duration = Duration::from_millis(1);

static PADDING: [u8; 64 << 10] = [0; 64 << 10];

/// One end of a pipe: a socket that carries whole messages.
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
    socket: OwnedFd,
    buffer_size: usize,
    blocks: Blocks,
    mappings: Mappings,
}

/// A packet in the caller's buffer, and the descriptor that came with it. It is to be
/// [opened](End::open) with that buffer.
#[derive(Debug)]
pub struct Arrival {
    length: usize,
    fd: Option<OwnedFd>,
}

impl End {
    /// Two ends, connected; closed in programs that are executed.
    ///
    /// # Errors
    /// The system's, when file descriptors have run out.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        for end in [&a, &b] {
            // What is more than the system allows is cut to that.
            sockopt::set_socket_send_buffer_size(end, BUFFER_SIZE)?;
        }
        Ok((Self::new(a)?, Self::new(b)?))
    }

    /// The end behind a descriptor that came from another process.
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
        Ok(Self { socket, buffer_size, blocks, mappings })
    }

    /// A buffer that every packet fits into, to be used for many.
    #[must_use]
    pub fn buffer() -> Vec<u8> {
        vec![0; LARGEST_PACKET]
    }

    /// Makes a message of `parts` ready. `kind` is a mark for the receiver.
    ///
    /// # Errors
    /// `StorageFull`, `OutOfMemory` or the system's, when there is no memory or descriptor for a
    /// large one.
    pub fn prepare(&self, kind: u8, parts: Parts<'_>) -> io::Result<Outgoing<'_>> {
        Outgoing::new(&self.blocks, self.buffer_size, kind, parts)
    }

    /// Makes a small message of one part ready, which was written where it is sent from: behind
    /// [`HEADER`](super::packet::HEADER) bytes that are overwritten.
    ///
    /// # Panics
    /// When `packet` is shorter than the header or longer than [`LARGEST_PACKET`].
    #[must_use]
    pub fn prepare_packet(&self, kind: u8, packet: Vec<u8>) -> Outgoing<'_> {
        Outgoing::in_packet(&self.blocks, kind, packet)
    }

    /// Sends a message that this end prepared, if there is room for it now; returns whether there
    /// was. One that was sent is not sent again.
    ///
    /// # Errors
    /// `BrokenPipe` when the other end is closed everywhere; otherwise the system's.
    pub fn try_send(&self, message: &mut Outgoing<'_>) -> io::Result<bool> {
        match self.attempt_to_send(message) {
            None => Ok(false),
            Some(Err(Errno::TOOMANYREFS)) => Ok(false),
            Some(sent) => Ok(sent.map(|()| true)?),
        }
    }

    /// Sends a message that this end prepared, waiting for room until the deadline. If it was not
    /// sent the same message can be tried again.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn send(
        &self,
        message: &mut Outgoing<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Waited<()>> {
        let attempt = || match self.attempt_to_send(message) {
            Some(Err(Errno::TOOMANYREFS)) => {
                std::thread::sleep(TOO_MANY_IN_FLIGHT);
                None
            }
            sent => sent,
        };
        match ready::attempt(self.as_fd(), Interest::Writable, deadline, attempt)? {
            Waited::Done(sent) => Ok(Waited::Done(sent?)),
            Waited::TimedOut => Ok(Waited::TimedOut),
            Waited::Interrupted => Ok(Waited::Interrupted),
        }
    }

    /// One try; `None` if there is no room.
    fn attempt_to_send(&self, message: &mut Outgoing<'_>) -> Option<Result<(), Errno>> {
        if message.is_sent() {
            return Some(Ok(()));
        }
        crash_point!("pipe: about to send");
        loop {
            match self.send_packet(message) {
                // CONNRESET: the other end was closed while something was unread there. It is
                // told once; the next try knows more.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return None,
                // A long packet takes memory that is contiguous in part, which may be rare, and a
                // buffer that somebody may have made smaller.
                Err(Errno::NOBUFS | Errno::NOMEM | Errno::MSGSIZE) if message.padding > 0 => {
                    message.padding /= 2;
                }
                Err(error) => return Some(Err(error)),
                Ok(()) => break,
            }
        }
        crash_point!("pipe: sent");
        message.was_sent();
        Some(Ok(()))
    }

    fn send_packet(&self, message: &Outgoing<'_>) -> Result<(), Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let Some(fd) = message.fd() else {
            return send(&self.socket, &message.packet, flags).map(drop);
        };
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        // There is room for one.
        let _ = control.push(SendAncillaryMessage::ScmRights(&fds));
        let mut pieces = vec![IoSlice::new(&message.packet)];
        let mut padding = message.padding;
        while padding > 0 {
            let piece = &PADDING[..padding.min(PADDING.len())];
            pieces.push(IoSlice::new(piece));
            padding -= piece.len();
        }
        sendmsg(&self.socket, &pieces, &mut control, flags).map(drop)
    }

    /// Receives a message into `buffer`, if there is one; `buffer` is one of
    /// [`buffer`](Self::buffer)'s.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn try_receive<'b>(
        &self,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, ReceiveError> {
        let arrival = self.try_take(buffer)?;
        arrival.map(|arrival| self.open(arrival, buffer)).transpose()
    }

    /// Receives a message into `buffer`, waiting for one until the deadline.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Waited<Message<'b>>, ReceiveError> {
        match self.take(buffer, deadline)? {
            Waited::Done(arrival) => self.open(arrival, buffer).map(Waited::Done),
            Waited::TimedOut => Ok(Waited::TimedOut),
            Waited::Interrupted => Ok(Waited::Interrupted),
        }
    }

    /// The first half of [`receive`](Self::receive), for those who wait several times with one
    /// buffer.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn take(
        &self,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Waited<Arrival>, ReceiveError> {
        let attempt = || self.try_take(buffer).transpose();
        let waited = ready::attempt(self.as_fd(), Interest::Readable, deadline, attempt);
        match waited.map_err(ReceiveError::System)? {
            Waited::Done(arrival) => arrival.map(Waited::Done),
            Waited::TimedOut => Ok(Waited::TimedOut),
            Waited::Interrupted => Ok(Waited::Interrupted),
        }
    }

    /// The first half of [`try_receive`](Self::try_receive).
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn try_take(&self, buffer: &mut [u8]) -> Result<Option<Arrival>, ReceiveError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = loop {
            match recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(received) => break received,
                Err(Errno::AGAIN) => return Ok(None),
                // The other end was closed while something for it was unread. It is told once,
                // before what is still to be received here.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(error) => return Err(ReceiveError::System(error.into())),
            }
        };
        // Every descriptor is taken, so that none is leaked whatever was sent.
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let mut fds: Vec<OwnedFd> = fds.flatten().collect();
        if received.bytes == 0 {
            self.mappings.clear();
            return Err(ReceiveError::Closed);
        }
        crash_point!("pipe: received");
        let fd = if fds.len() == 1 { fds.pop() } else { None };
        Ok(Some(Arrival { length: received.bytes.min(buffer.len()), fd }))
    }

    /// The message of a packet that was taken into `buffer`.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn open<'b>(
        &self,
        arrival: Arrival,
        buffer: &'b [u8],
    ) -> Result<Message<'b>, ReceiveError> {
        match parse(&buffer[..arrival.length.min(buffer.len())])? {
            Packet::Inline { kind, parts, bytes } => Ok(Message::Inline { kind, parts, bytes }),
            Packet::Block { kind, parts, length } => {
                let fd = arrival.fd.ok_or_else(no_descriptor)?;
                let lease = self.mappings.open(fd, length)?;
                crash_point!("pipe: mapped");
                let payload = Payload::from_lease(lease, parts).ok_or(ReceiveError::Damaged)?;
                Ok(Message::Lent { kind, payload })
            }
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<End> for OwnedFd {
    fn from(end: End) -> Self {
        end.socket
    }
}
