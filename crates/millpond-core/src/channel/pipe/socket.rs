//! Packets into a pipe's socket, and out of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};

use super::end::{End, Incoming};
use super::outgoing::OutgoingMessage;
use super::packet::{Body, PREFIX, Prefix, REFERENCE, parse};

static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// What came out of a socket.
pub(super) enum SocketRead {
    /// There is nothing.
    Nothing,
    /// There will be nothing any more.
    End,
    /// A packet, and what it begins with if it is no plain message. The memory of the rings may
    /// have come with it.
    Packet(Incoming, Option<Prefix>, Option<OwnedFd>),
}

/// What a socket has next.
pub(super) enum NextPacket {
    Nothing,
    End,
    /// A notification, or a packet with a number.
    Numbered(Prefix),
    /// Any other packet.
    Packet,
}

impl End {
    /// Sends a packet, behind a prefix if there is one, with the memory of the rings.
    pub(super) fn send_packet(
        &self,
        message: &mut OutgoingMessage<'_>,
        prefix: Option<(Prefix, BorrowedFd<'_>)>,
    ) -> Result<(), Errno> {
        loop {
            match self.try_packet(message, prefix) {
                // CONNRESET: the other end was closed while something was unread there. It is
                // told once; the next try knows more.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                // A long packet takes memory that is contiguous in part, which may be rare, and a
                // buffer that the program may have made smaller.
                Err(Errno::NOBUFS | Errno::NOMEM | Errno::MSGSIZE) if message.padding > 0 => {
                    message.padding /= 2;
                }
                done => return done,
            }
        }
    }

    fn try_packet(
        &self,
        message: &OutgoingMessage<'_>,
        prefix: Option<(Prefix, BorrowedFd<'_>)>,
    ) -> Result<(), Errno> {
        let prefix_bytes = prefix.map(|(prefix, _)| prefix.encode());
        let rings = prefix.map(|(_, rings)| rings);
        if !message.has_fds() && rings.is_none() {
            return send(&self.socket, &message.packet, FLAGS).map(drop);
        }
        let mut pieces = Vec::with_capacity(3);
        pieces.extend(prefix_bytes.as_ref().map(|bytes| IoSlice::new(bytes)));
        pieces.push(IoSlice::new(&message.packet));
        let mut padding = message.padding;
        while padding > 0 {
            let piece = &ZEROES[..padding.min(ZEROES.len())];
            pieces.push(IoSlice::new(piece));
            padding -= piece.len();
        }
        let fds: Vec<BorrowedFd<'_>> = message.fds().chain(rings).collect();
        let sent = self.send_with(&pieces, &fds);
        if sent == Err(Errno::TOOMANYREFS) && !message.has_fds() {
            // Only a receiver that has no rings yet needs their descriptor.
            return self.send_with(&pieces, &[]);
        }
        sent
    }

    fn send_with(&self, pieces: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            // There is room for three.
            let _ = control.push(SendAncillaryMessage::ScmRights(fds));
        }
        sendmsg(&self.socket, pieces, &mut control, FLAGS).map(drop)
    }

    /// Rings. Where there is no room in the socket it is readable anyway.
    pub(super) fn send_notification(
        &self,
        notification: Prefix,
        rings: BorrowedFd<'_>,
    ) -> Result<(), Errno> {
        let bytes = notification.encode();
        let pieces = [IoSlice::new(&bytes)];
        loop {
            let mut sent = self.send_with(&pieces, &[rings]);
            if sent == Err(Errno::TOOMANYREFS) {
                sent = self.send_with(&pieces, &[]);
            }
            match sent {
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::PIPE) => return Err(Errno::PIPE),
                _ => return Ok(()),
            }
        }
    }

    /// Whether no process has the other end.
    pub(super) fn is_other_end_gone(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = poll(&mut polled, Some(&at_once));
        polled[0].revents().intersects(PollFlags::HUP)
    }

    /// Whether the socket has something, or its end.
    pub(super) fn is_socket_readable(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Takes a packet out of the socket.
    pub(super) fn receive_packet(&self, buffer: &mut [u8]) -> io::Result<SocketRead> {
        self.receive_with(buffer, RecvFlags::empty())
    }

    /// The start of the packet that the socket has next, and the memory of the rings if it is with
    /// it. The packet stays there.
    pub(super) fn peek_rings(&self) -> io::Result<SocketRead> {
        self.receive_with(&mut [0; PREFIX + REFERENCE], RecvFlags::PEEK)
    }

    fn receive_with(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<SocketRead> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = loop {
            match recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(received) => break received,
                Err(Errno::AGAIN) => return Ok(SocketRead::Nothing),
                // The other end was closed while something for it was unread. It is told once,
                // before what is still to be received here.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(error) => return Err(error.into()),
            }
        };
        // Every descriptor is taken, so that none is leaked whatever was sent.
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let mut fds = fds.flatten().collect::<Vec<OwnedFd>>().into_iter();
        if received.bytes == 0 {
            return Ok(SocketRead::End);
        }
        let length = received.bytes.min(buffer.len());
        let prefix = Prefix::read(&buffer[..length]);
        let start = if prefix.is_some() { PREFIX } else { 0 };
        let packet = parse(&buffer[start..length]);
        let has_block = packet.is_ok_and(|packet| matches!(packet.body, Body::Block(_)));
        let has_bundle = packet.is_ok_and(|packet| packet.has_note);
        // A block comes first, then a bundle, then the memory of the rings, as far as there were
        // descriptors left for them.
        let fd = if has_block { fds.next() } else { None };
        let bundle = if has_bundle { fds.next() } else { None };
        let rings = if prefix.is_some() { fds.next() } else { None };
        Ok(SocketRead::Packet(Incoming { place: start..length, fd, bundle }, prefix, rings))
    }

    /// What the socket has next, which stays there.
    pub(super) fn peek(&self) -> io::Result<NextPacket> {
        let mut start = [0; 2 * PREFIX];
        loop {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            return match recv(&self.socket, &mut start[..], flags) {
                Ok((0, _)) => Ok(NextPacket::End),
                Ok((length, _)) => Ok(match Prefix::read(&start[..length]) {
                    Some(prefix) => NextPacket::Numbered(prefix),
                    None => NextPacket::Packet,
                }),
                Err(Errno::AGAIN) => Ok(NextPacket::Nothing),
                Err(Errno::INTR | Errno::CONNRESET) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Takes a notification out of the socket. Its descriptor is dropped by the kernel.
    pub(super) fn drop_notification(&self) {
        let _ = recv(&self.socket, &mut [0; PREFIX][..], RecvFlags::DONTWAIT);
    }
}
