//! `End::receive` and its parts: spin, look at the ring, look at the socket, sleep.

use std::os::fd::AsFd;
use std::time::Instant;

use super::direction::packet_number;
use super::end::{End, Incoming};
use super::error::ReceiveError;
use super::mappings::no_descriptor;
use super::message::Message;
use super::packet::{Body, Packet, parse};
use super::rings::{Attached, enter_now};
use super::socket::{NextPacket, SocketRead};
use crate::channel::ring::Corrupt;
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::os::ready::{self, Interest, Polled};
use crate::pool::payload::Payload;
use crate::sync::deadline::{After, Deadline};
use crate::sync::robust::Taken;
use crate::sync::spin::{Spin, with_thread_spin};

impl From<Corrupt> for ReceiveError {
    fn from(_: Corrupt) -> Self {
        Self::Damaged
    }
}

impl End {
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
    ) -> Result<Polled<Message<'b>>, ReceiveError> {
        match self.take(buffer, deadline)? {
            Polled::Done(arrival) => self.open(arrival, buffer).map(Polled::Done),
            Polled::TimedOut => Ok(Polled::TimedOut),
            Polled::Interrupted => Ok(Polled::Interrupted),
        }
    }

    /// The first half of [`try_receive`](Self::try_receive).
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub(crate) fn try_take(&self, buffer: &mut [u8]) -> Result<Option<Incoming>, ReceiveError> {
        if self.attached.get().is_none()
            && let Some(arrival) = self.take_from_socket_only(buffer)?
        {
            return Ok(Some(arrival));
        }
        self.try_attached(buffer, true)
    }

    /// As `try_take`, but does not read the socket when the ring is empty, so it
    /// may overlook a packet. For callers that [wait](Self::take) next.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    #[inline]
    pub fn take_at_hand(&self, buffer: &mut [u8]) -> Result<Option<Incoming>, ReceiveError> {
        self.try_attached(buffer, false)
    }

    fn try_attached(&self, buffer: &mut [u8], ask: bool) -> Result<Option<Incoming>, ReceiveError> {
        let Some(attached) = self.attached.get() else { return Ok(None) };
        let (me, receivers) = (ProcessId::current(), attached.incoming().receivers());
        match enter_now(receivers, me) {
            Taken::Clean => {}
            Taken::OwnerDied(_) => self.after_a_death(attached, me),
            Taken::TimedOut | Taken::Interrupted => return Ok(None),
        }
        let mut taken = self.take_from_ring(attached, me, buffer, false);
        if ask && matches!(taken, Ok(None)) {
            taken = self.take_from_socket(attached, me, buffer);
        }
        receivers.release(me);
        taken
    }

    /// The first half of [`receive`](Self::receive), for callers that wait several times with one
    /// buffer.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn take(
        &self,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Polled<Incoming>, ReceiveError> {
        if self.attached.get().is_none() {
            let attempt = || match self.take_from_socket_only(buffer) {
                // Rings came.
                Ok(None) if self.attached.get().is_some() => Some(Ok(None)),
                attempted => attempted.map(|arrival| arrival.map(Some)).transpose(),
            };
            let waited = ready::attempt(self.as_fd(), Interest::Readable, deadline, attempt);
            match waited.map_err(ReceiveError::System)? {
                Polled::Done(arrival) => {
                    if let Some(arrival) = arrival? {
                        return Ok(Polled::Done(arrival));
                    }
                }
                Polled::TimedOut => return Ok(Polled::TimedOut),
                Polled::Interrupted => return Ok(Polled::Interrupted),
            }
        }
        let Some(attached) = self.attached.get() else { return Ok(Polled::TimedOut) };
        self.take_attached(attached, buffer, deadline)
    }

    pub(super) fn has_ended<T>(&self) -> Result<T, ReceiveError> {
        self.mappings.clear();
        Err(ReceiveError::Closed)
    }

    fn take_attached(
        &self,
        attached: &Attached,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Polled<Incoming>, ReceiveError> {
        let (me, receivers) = (ProcessId::current(), attached.incoming().receivers());
        let (mut is_readable, mut wait) = (false, Deadline::new(deadline));
        with_thread_spin(|spin| {
            loop {
                match receivers.take(me, spin, deadline) {
                    Taken::Clean => {}
                    Taken::OwnerDied(_) => self.after_a_death(attached, me),
                    Taken::TimedOut => return Ok(Polled::TimedOut),
                    Taken::Interrupted => return Ok(Polled::Interrupted),
                }
                let mut taken = self.take_from_ring(attached, me, buffer, false);
                if matches!(taken, Ok(None)) {
                    taken = if is_readable {
                        self.take_from_socket(attached, me, buffer)
                    } else if deadline.is_none_or(|deadline| deadline > Instant::now()) {
                        self.spin_for_message(attached, me, buffer, spin)
                    } else {
                        Ok(None)
                    };
                }
                receivers.release(me);
                if let Some(arrival) = taken? {
                    return Ok(Polled::Done(arrival));
                }
                let left = wait.left();
                let woken = wait.deaths.sleep_until_readable(self.as_fd(), receivers, left);
                let slept = woken.map(|woken| wait.after(woken));
                match slept.map_err(ReceiveError::System)? {
                    After::Look => is_readable = true,
                    // A sender may have died between its commit and the notification.
                    After::LookForDead => is_readable = false,
                    After::Interrupted => return Ok(Polled::Interrupted),
                    After::GiveUp => return Ok(Polled::TimedOut),
                }
            }
        })
    }

    /// Spins for a message, in the receivers' guard and with an empty ring.
    fn spin_for_message(
        &self,
        attached: &Attached,
        me: ProcessId,
        buffer: &mut [u8],
        spin: &mut Spin,
    ) -> Result<Option<Incoming>, ReceiveError> {
        let direction = attached.incoming();
        direction.readiness().begin_spinning();
        crash_point!("pipe: spinning");
        if direction.is_empty() {
            spin.until(|| direction.readiness().is_claimed());
        }
        let is_claimed = direction.readiness().leave();
        crash_point!("pipe: left");
        self.take_from_ring(attached, me, buffer, is_claimed)
    }

    /// What the ring has first, in the receivers' guard. `is_claimed` if a sender left it to the
    /// caller.
    #[inline]
    fn take_from_ring(
        &self,
        attached: &Attached,
        me: ProcessId,
        buffer: &mut [u8],
        is_claimed: bool,
    ) -> Result<Option<Incoming>, ReceiveError> {
        let direction = attached.incoming();
        let mut ring = direction.receiving()?;
        let arrival = loop {
            let Some(frame) = ring.front()? else { return Ok(None) };
            let Some(number) = packet_number(&frame) else {
                let packet = frame.body();
                let place = 0..packet.len();
                let copied = buffer.get_mut(place.clone()).map(|to| to.copy_from_slice(packet));
                frame.release();
                crash_point!("pipe: frame is given back");
                copied.ok_or(ReceiveError::Damaged)?;
                break Incoming { place, fd: None, bundle: None };
            };
            if direction.readiness().is_acknowledged(number) {
                // An end without rings has taken the packet.
                frame.release();
                continue;
            }
            match self.receive_packet(buffer).map_err(ReceiveError::System)? {
                SocketRead::Nothing | SocketRead::End => frame.release(),
                SocketRead::Packet(_, Some(notification), _) if notification.is_notification => {
                    if notification.is_after(number) {
                        // The packet is gone, and so is now the notification for what comes next.
                        direction.readiness().acknowledge(notification.number);
                    }
                }
                SocketRead::Packet(arrival, prefix, _) => {
                    crash_point!("pipe: packet is received");
                    if let Some(prefix) = prefix {
                        direction.readiness().acknowledge(prefix.number);
                        if prefix.number == number {
                            frame.release();
                        }
                    }
                    break arrival;
                }
            }
        };
        let is_exhausted = ring.is_exhausted();
        drop(ring);
        crash_point!("pipe: received");
        if !is_claimed && is_exhausted {
            self.settle(attached, me);
        }
        Ok(Some(arrival))
    }

    /// What the socket has first, in the receivers' guard and with a ring that was empty.
    fn take_from_socket(
        &self,
        attached: &Attached,
        me: ProcessId,
        buffer: &mut [u8],
    ) -> Result<Option<Incoming>, ReceiveError> {
        let direction = attached.incoming();
        loop {
            match self.peek().map_err(ReceiveError::System)? {
                NextPacket::Nothing => return Ok(None),
                NextPacket::Numbered(notification) if notification.is_notification => {
                    self.take_notifications(attached, me);
                    if let Some(arrival) = self.take_from_ring(attached, me, buffer, false)? {
                        return Ok(Some(arrival));
                    }
                    let next = self.peek().map_err(ReceiveError::System)?;
                    if matches!(next, NextPacket::Numbered(still) if still == notification) {
                        // It is for a message that is gone already, and its sender is not done.
                        return Ok(None);
                    }
                }
                NextPacket::End => {
                    // No sender is left to add to the ring.
                    let last = self.take_from_ring(attached, me, buffer, true)?;
                    return last.map_or_else(|| self.has_ended(), |arrival| Ok(Some(arrival)));
                }
                NextPacket::Numbered(_) | NextPacket::Packet => {
                    if let Some(arrival) = self.take_from_ring(attached, me, buffer, false)? {
                        return Ok(Some(arrival));
                    }
                    let received = self.receive_packet(buffer).map_err(ReceiveError::System)?;
                    if let SocketRead::Packet(arrival, prefix, _) = received {
                        if let Some(prefix) = prefix {
                            direction.readiness().acknowledge(prefix.number);
                        }
                        crash_point!("pipe: received");
                        // A notification may have come behind it, for a message that went before.
                        self.settle(attached, me);
                        return Ok(Some(arrival));
                    }
                }
            }
        }
    }

    /// The message of a packet that was taken into `buffer`.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn open<'b>(
        &self,
        arrival: Incoming,
        buffer: &'b [u8],
    ) -> Result<Message<'b>, ReceiveError> {
        let Incoming { place, fd, bundle } = arrival;
        let Packet { kind, has_note, parts, body } = parse(buffer.get(place).unwrap_or_default())?;
        let message = match body {
            Body::Inline(bytes) => Message::Inline { kind, parts, bytes },
            Body::Block(length) => {
                let fd = fd.ok_or_else(no_descriptor)?;
                let lease = self.mappings.open(fd, length)?;
                crash_point!("pipe: mapped");
                let payload = Payload::from_lease(lease, parts).ok_or(ReceiveError::Damaged)?;
                Message::Lent { kind, payload }
            }
        };
        if !has_note {
            return Ok(message);
        }
        let mut payload = message.into_payload().ok_or(ReceiveError::Damaged)?;
        if !payload.open_handles(|_| bundle) {
            return Err(ReceiveError::Damaged);
        }
        Ok(Message::Lent { kind, payload })
    }
}
