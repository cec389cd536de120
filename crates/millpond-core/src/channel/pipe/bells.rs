//! The receivers' part of the doorbell protocol: taking bells out of the socket, and the repair
//! after a sender or a receiver died between two steps of it.

use super::end::End;
use super::lane::packet_number;
use super::rings::{Attached, enter_now};
use super::socket::Next;
use crate::os::identity::ProcessId;
use crate::sync::robust::Taken;

impl End {
    /// Takes the bells out of the socket if the ring is empty.
    pub(super) fn settle(&self, attached: &Attached, me: ProcessId) {
        let (lane, bell) = (attached.incoming(), attached.incoming().doorbell());
        let is_empty = || lane.is_empty();
        let mut is_settled = false;
        if !is_empty() {
            return;
        }
        if !bell.is_announced(lane.head()) {
            is_settled = bell.settle(lane.senders(), me, is_empty);
            if !is_settled {
                return;
            }
        }
        while bell.is_outstanding() {
            match self.peek() {
                Ok(Next::Numbered(prefix)) if prefix.is_bell => {
                    let number = prefix.number;
                    if !bell.is_heard(number) && !bell.hush(number, is_empty) {
                        return;
                    }
                    self.drop_bell();
                }
                // The bell is on its way, unless a sender died or an end without rings took it.
                Ok(Next::Nothing) if !is_settled => {
                    is_settled = bell.settle(lane.senders(), me, is_empty);
                    if !is_settled {
                        return;
                    }
                }
                Ok(Next::Nothing) => {
                    let is_gone = || is_empty() && matches!(self.peek(), Ok(Next::Nothing));
                    bell.hush_lost(lane.senders(), me, is_gone);
                    return;
                }
                _ => return,
            }
        }
    }

    /// A receiver died in the guard.
    #[cold]
    pub(super) fn after_a_death(&self, attached: &Attached, me: ProcessId) {
        let lane = attached.incoming();
        lane.doorbell().leave();
        // It may have taken a packet, and left its number in the ring.
        while let Ok(mut ring) = lane.receiving()
            && let Ok(Some(frame)) = ring.front()
            && let Some(number) = packet_number(&frame)
        {
            match self.peek() {
                Ok(Next::Numbered(bell)) if bell.is_bell && !bell.is_after(number) => {
                    self.drop_bell();
                }
                Ok(Next::Numbered(prefix)) if !prefix.is_bell && !prefix.is_after(number) => break,
                Ok(Next::Packet) | Err(_) => break,
                Ok(_) => frame.release(),
            }
        }
        self.take_bells(attached, me);
    }

    /// As [`settle`](Self::settle), and takes away bells whose receiver died after it noted them as
    /// heard.
    pub(super) fn take_bells(&self, attached: &Attached, me: ProcessId) {
        self.settle(attached, me);
        // While the ring has a message they may be all that tells of it.
        while attached.incoming().is_empty()
            && let Ok(Next::Numbered(prefix)) = self.peek()
            && prefix.is_bell
            && attached.incoming().doorbell().is_heard(prefix.number)
        {
            self.drop_bell();
        }
    }

    /// Whether the ring has a message, which costs no system call to tell.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.attached.get().is_some_and(|attached| {
            let lane = attached.incoming();
            // A packet may have been received before its place was committed.
            let is_taken = |number| lane.doorbell().is_heard(number);
            !lane.is_empty() && !lane.first_packet().is_some_and(is_taken)
        })
    }

    /// Whether there is something to receive, or the end of it. False for bells of messages that
    /// are gone, which it takes away.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let Some(attached) = self.attached.get() else { return self.is_socket_readable() };
        if self.has_message() {
            return true;
        }
        let lane = attached.incoming();
        let (me, receivers) = (ProcessId::current(), lane.receivers());
        match enter_now(receivers, me) {
            Taken::Clean => {}
            Taken::OwnerDied(_) => self.after_a_death(attached, me),
            // The receiver in the guard deals with the bells.
            Taken::TimedOut | Taken::Interrupted => return false,
        }
        while let Ok(mut ring) = lane.receiving()
            && let Ok(Some(frame)) = ring.front()
            && packet_number(&frame).is_some_and(|number| lane.doorbell().is_heard(number))
        {
            frame.release();
        }
        if matches!(self.peek(), Ok(Next::Numbered(prefix)) if prefix.is_bell) {
            self.take_bells(attached, me);
        }
        receivers.release(me);
        match self.peek() {
            Ok(Next::Nothing) => self.has_message(),
            Ok(Next::Numbered(prefix)) if prefix.is_bell => self.has_message(),
            _ => true,
        }
    }
}
