//! Many descriptors in one: a socket that they were sent into, and whose other end is closed.
//!
//! The kernel keeps them there until they are taken out or the socket is closed everywhere, whatever
//! becomes of the process that put them in.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg,
};

use crate::os::refused::error_of;

/// How many descriptors one packet carries; the kernel takes 253.
const IN_PACKET: usize = 128;

/// Puts duplicates of `fds` into a new bundle.
///
/// # Errors
/// The system's: [`is_too_many`] if too many descriptors of this user are in sockets now.
pub(crate) fn pack(fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let (sender, bundle) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(error_of("socketpair"))?;
    for packet in fds.chunks(IN_PACKET) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_PACKET))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        // There is room for as many.
        let _ = control.push(SendAncillaryMessage::ScmRights(packet));
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while let Err(errno) = sendmsg(&sender, &[IoSlice::new(&[0])], &mut control, flags) {
            if errno != Errno::INTR {
                return Err(errno.into());
            }
        }
    }
    Ok(bundle)
}

/// Whether a bundle can be packed, or sent, once others have been received.
pub(crate) fn is_too_many(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error())
}

/// Takes `count` descriptors out of a bundle, which another process may have made.
///
/// # Errors
/// `InvalidData` if it has fewer, or is something else; the system's, when descriptors have run out.
pub(crate) fn unpack(bundle: &OwnedFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    while fds.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_PACKET))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(bundle, &mut [IoSliceMut::new(&mut [0])], &mut control, flags);
        let before = fds.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                fds.extend(some);
            }
        }
        match received {
            Ok(packet) if packet.flags.contains(ReturnFlags::CTRUNC) => {
                return Err(Errno::MFILE.into());
            }
            Ok(_) if fds.len() > before => {}
            Err(Errno::INTR) => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(fds)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn descriptors_come_out_in_order_after_those_that_went_in_are_closed() {
        let pipes: Vec<_> = (0..300).map(|_| rustix::pipe::pipe().expect("a pipe")).collect();
        let readers: Vec<_> = pipes.iter().map(|(reader, _)| reader.as_fd()).collect();
        let bundle = pack(&readers).expect("a bundle");
        let writers: Vec<_> = pipes.into_iter().map(|(_, writer)| writer).collect();
        let unpacked = unpack(&bundle, 300).expect("all of them");
        for (n, (reader, writer)) in unpacked.iter().zip(&writers).enumerate() {
            let sent = [n as u8];
            assert_eq!(rustix::io::write(writer, &sent), Ok(1));
            let mut byte = [0];
            assert_eq!(rustix::io::read(reader, &mut byte), Ok(1));
            assert_eq!(byte, sent);
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        assert!(unpack(&reader, 1).is_err());
        assert!(unpack(&pack(&[]).expect("an empty one"), 1).is_err());
        assert!(unpack(&pack(&[writer.as_fd()]).expect("a bundle"), 2).is_err());
        let (open, _other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("sockets");
        assert!(unpack(&open, 1).is_err(), "it has nothing, and may get something later");
    }
}
