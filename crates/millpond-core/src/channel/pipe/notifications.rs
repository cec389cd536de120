//! The receivers' part of the readiness protocol: taking notifications out of the socket, and the
//! repair after a sender or a receiver died between two steps of it.

use super::direction::packet_number;
use super::end::End;
use super::rings::{Attached, enter_now};
use super::socket::NextPacket;
use crate::os::identity::ProcessId;
use crate::sync::robust::Taken;

impl End {
    /// Takes the notifications out of the socket if the ring is empty.
    pub(super) fn settle(&self, attached: &Attached, me: ProcessId) {
        let (direction, readiness) = (attached.incoming(), attached.incoming().readiness());
        let is_empty = || direction.is_empty();
        let mut is_settled = false;
        if !is_empty() {
            return;
        }
        if !readiness.is_notified(direction.head()) {
            is_settled = readiness.settle(direction.senders(), me, is_empty);
            if !is_settled {
                return;
            }
        }
        while readiness.is_outstanding() {
            match self.peek() {
                Ok(NextPacket::Numbered(prefix)) if prefix.is_notification => {
                    let number = prefix.number;
                    if !readiness.is_acknowledged(number)
                        && !readiness.acknowledge_if_empty(number, is_empty)
                    {
                        return;
                    }
                    self.drop_notification();
                }
                // The notification is on its way, unless a sender died or an end without rings took
                // it.
                Ok(NextPacket::Nothing) if !is_settled => {
                    is_settled = readiness.settle(direction.senders(), me, is_empty);
                    if !is_settled {
                        return;
                    }
                }
                Ok(NextPacket::Nothing) => {
                    let is_gone = || is_empty() && matches!(self.peek(), Ok(NextPacket::Nothing));
                    readiness.acknowledge_lost(direction.senders(), me, is_gone);
                    return;
                }
                _ => return,
            }
        }
    }

    /// A receiver died in the guard.
    #[cold]
    pub(super) fn after_a_death(&self, attached: &Attached, me: ProcessId) {
        let direction = attached.incoming();
        direction.readiness().leave();
        // It may have taken a packet, and left its number in the ring.
        while let Ok(mut ring) = direction.receiving()
            && let Ok(Some(frame)) = ring.front()
            && let Some(number) = packet_number(&frame)
        {
            match self.peek() {
                Ok(NextPacket::Numbered(notification))
                    if notification.is_notification && !notification.is_after(number) =>
                {
                    self.drop_notification();
                }
                Ok(NextPacket::Numbered(prefix))
                    if !prefix.is_notification && !prefix.is_after(number) =>
                {
                    break;
                }
                Ok(NextPacket::Packet) | Err(_) => break,
                Ok(_) => frame.release(),
            }
        }
        self.take_notifications(attached, me);
    }

    /// As [`settle`](Self::settle), and takes away notifications whose receiver died after it noted
    /// them as acknowledged.
    pub(super) fn take_notifications(&self, attached: &Attached, me: ProcessId) {
        self.settle(attached, me);
        // While the ring has a message they may be all that tells of it.
        while attached.incoming().is_empty()
            && let Ok(NextPacket::Numbered(prefix)) = self.peek()
            && prefix.is_notification
            && attached.incoming().readiness().is_acknowledged(prefix.number)
        {
            self.drop_notification();
        }
    }

    /// Whether the ring has a message, which costs no system call to tell.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.attached.get().is_some_and(|attached| {
            let direction = attached.incoming();
            // A packet may have been received before its place was committed.
            let is_taken = |number| direction.readiness().is_acknowledged(number);
            !direction.is_empty() && !direction.first_packet().is_some_and(is_taken)
        })
    }

    /// Whether there is something to receive, or the end of it. False for notifications of messages
    /// that are gone, which it takes away.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let Some(attached) = self.attached.get() else { return self.is_socket_readable() };
        if self.has_message() {
            return true;
        }
        let direction = attached.incoming();
        let (me, receivers) = (ProcessId::current(), direction.receivers());
        match enter_now(receivers, me) {
            Taken::Clean => {}
            Taken::OwnerDied(_) => self.after_a_death(attached, me),
            // The receiver in the guard deals with the notifications.
            Taken::TimedOut | Taken::Interrupted => return false,
        }
        while let Ok(mut ring) = direction.receiving()
            && let Ok(Some(frame)) = ring.front()
            && packet_number(&frame)
                .is_some_and(|number| direction.readiness().is_acknowledged(number))
        {
            frame.release();
        }
        if matches!(self.peek(), Ok(NextPacket::Numbered(prefix)) if prefix.is_notification) {
            self.take_notifications(attached, me);
        }
        receivers.release(me);
        match self.peek() {
            Ok(NextPacket::Nothing) => self.has_message(),
            Ok(NextPacket::Numbered(prefix)) if prefix.is_notification => self.has_message(),
            _ => true,
        }
    }
}
