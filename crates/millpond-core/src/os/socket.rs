//! Sockets that keep message borders and carry file descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};

use crate::os::refused::error_of;

/// The most file descriptors that one message may carry.
const MAX_FDS: usize = 4;

/// Whether the descriptor of this number is open and a socket of the kind that [`Socket`] has.
pub(crate) fn is_packet_socket(number: RawFd) -> bool {
    let option = |name| {
        let (mut value, mut length) = (0, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: the value and its length are there as long as the call lasts. It looks the number up,
        // and says so if it is not open.
        let error = unsafe {
            libc::getsockopt(
                number,
                libc::SOL_SOCKET,
                name,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        (error == 0).then_some(value)
    };
    option(libc::SO_TYPE) == Some(libc::SOCK_SEQPACKET)
        && option(libc::SO_DOMAIN) == Some(libc::AF_UNIX)
}

/// One end of a pair of connected sockets (`SOCK_SEQPACKET`).
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// What [`Socket::receive`] found.
#[derive(Debug)]
pub(crate) enum Received {
    /// A message: how many bytes of the buffer it fills, and the descriptors that came with it.
    Message(usize, Vec<OwnedFd>),
    /// Nothing for now (non-blocking only).
    Nothing,
    /// The other end is closed, and everything it had sent was received.
    Closed,
}

impl Socket {
    /// Two ends, connected; closed in programs that are executed.
    ///
    /// # Errors
    /// The system's, when file descriptors have run out.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .map_err(error_of("socketpair"))?;
        Ok((Self(a), Self(b)))
    }

    /// Sends one message, waiting for room; never raises SIGPIPE.
    ///
    /// # Errors
    /// `BrokenPipe` when the other end is closed.
    pub(crate) fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                sent => return sent.map(drop).map_err(Into::into),
            }
        }
    }

    /// Receives one message into `buffer`; blocks only if `wait`.
    ///
    /// # Errors
    /// The system's; `InvalidData` when the message was longer than the buffer.
    pub(crate) fn receive(&self, buffer: &mut [u8], wait: bool) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, !wait);
        let message = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                // CONNRESET: the other end was closed while something was unread there. It is told
                // once, before what that end had sent; the next try receives that.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                received => break received?,
            }
        };
        if message.bytes == 0 {
            return Ok(Received::Closed);
        }
        if message.flags.contains(rustix::net::ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let fds = control.drain().filter_map(|m| match m {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        Ok(Received::Message(message.bytes, fds.flatten().collect()))
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_the_other_end_closed_with_something_unread_is_received() {
        for wait in [true, false] {
            let (here, there) = Socket::pair().expect("a pair");
            here.send(b"never read", &[]).expect("room");
            there.send(b"one", &[]).expect("room");
            there.send(b"two", &[]).expect("room");
            drop(there);
            let mut buffer = [0; 9];
            for expected in [b"one", b"two"] {
                let received = here.receive(&mut buffer, wait).expect("a message");
                assert!(matches!(received, Received::Message(3, _)), "{received:?}");
                assert_eq!(&buffer[..3], expected);
            }
            assert!(matches!(here.receive(&mut buffer, wait), Ok(Received::Closed)));
        }
    }
}
