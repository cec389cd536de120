//! Receiving at an end that has only its socket, until a notification or a numbered packet brings
//! the descriptor of the rings.

use std::io::ErrorKind;
use std::sync::Arc;

use rustix::io::Errno;

use super::end::{End, Incoming};
use super::error::ReceiveError;
use super::rings::Rings;
use super::socket::{NextPacket, SocketRead};
use crate::crash::crash_point;

impl End {
    /// What the socket of an end without rings has. Nothing too when rings came.
    pub(super) fn take_from_socket_only(
        &self,
        buffer: &mut [u8],
    ) -> Result<Option<Incoming>, ReceiveError> {
        match self.peek().map_err(ReceiveError::System)? {
            NextPacket::Nothing => return Ok(None),
            NextPacket::Numbered(_) => return self.find_rings().map(|()| None),
            NextPacket::Packet | NextPacket::End => {}
        }
        match self.receive_packet(buffer).map_err(ReceiveError::System)? {
            SocketRead::Nothing => Ok(None),
            SocketRead::End => self.has_ended(),
            SocketRead::Packet(arrival, prefix, rings) => {
                let Some(prefix) = prefix else {
                    crash_point!("pipe: received");
                    return Ok(Some(arrival));
                };
                if let Some(Ok(rings)) = rings.map(Rings::from_fd) {
                    self.attached.set(Arc::new(rings), 1 - prefix.side, false);
                }
                if prefix.is_notification {
                    return Ok(None);
                }
                if let Some(attached) = self.attached.get() {
                    attached.incoming().readiness().acknowledge(prefix.number);
                }
                crash_point!("pipe: received");
                Ok(Some(arrival))
            }
        }
    }

    /// Finds the rings by a notification or a numbered packet, which stays in the socket: a
    /// notification tells all processes that share the end of the ring's messages, also after this
    /// end is closed, and a numbered packet has to be taken with its frame.
    fn find_rings(&self) -> Result<(), ReceiveError> {
        let next = self.peek_rings().map_err(ReceiveError::System)?;
        let SocketRead::Packet(_, Some(prefix), rings) = next else {
            // Another receiver took it away.
            return Ok(());
        };
        let fd = rings.ok_or_else(|| ReceiveError::System(Errno::MFILE.into()))?;
        match Rings::from_fd(fd) {
            Ok(rings) => {
                self.attached.set(Arc::new(rings), 1 - prefix.side, false);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.drop_notification();
                Err(ReceiveError::Damaged)
            }
            Err(error) => Err(ReceiveError::System(error)),
        }
    }
}
