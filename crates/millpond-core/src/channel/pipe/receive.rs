//! `End::receive` and its parts: spin, look at the ring, look at the socket, sleep.

use std::os::fd::AsFd;
use std::time::Instant;

use super::end::{Arrival, End};
use super::error::ReceiveError;
use super::lane::packet_number;
use super::mappings::no_descriptor;
use super::message::Message;
use super::packet::{Body, Packet, parse};
use super::rings::{Attached, enter_now};
use super::socket::{Next, Received};
use crate::channel::ring::Corrupt;
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::os::ready::{self, Interest, Waited};
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
    ) -> Result<Waited<Message<'b>>, ReceiveError> {
        match self.take(buffer, deadline)? {
            Waited::Done(arrival) => self.open(arrival, buffer).map(Waited::Done),
            Waited::TimedOut => Ok(Waited::TimedOut),
            Waited::Interrupted => Ok(Waited::Interrupted),
        }
    }

    /// The first half of [`try_receive`](Self::try_receive).
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub(crate) fn try_take(&self, buffer: &mut [u8]) -> Result<Option<Arrival>, ReceiveError> {
        if self.attached.get().is_none()
            && let Some(arrival) = self.take_direct(buffer)?
        {
            return Ok(Some(arrival));
        }
        self.try_attached(buffer, true)
    }

    /// As [`try_take`](Self::try_take), but does not read the socket when the ring is empty, so it
    /// may overlook a packet. For callers that [wait](Self::take) next.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    #[inline]
    pub fn take_at_hand(&self, buffer: &mut [u8]) -> Result<Option<Arrival>, ReceiveError> {
        self.try_attached(buffer, false)
    }

    fn try_attached(&self, buffer: &mut [u8], ask: bool) -> Result<Option<Arrival>, ReceiveError> {
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
    ) -> Result<Waited<Arrival>, ReceiveError> {
        if self.attached.get().is_none() {
            let attempt = || match self.take_direct(buffer) {
                // Rings came.
                Ok(None) if self.attached.get().is_some() => Some(Ok(None)),
                attempted => attempted.map(|arrival| arrival.map(Some)).transpose(),
            };
            let waited = ready::attempt(self.as_fd(), Interest::Readable, deadline, attempt);
            match waited.map_err(ReceiveError::System)? {
                Waited::Done(arrival) => {
                    if let Some(arrival) = arrival? {
                        return Ok(Waited::Done(arrival));
                    }
                }
                Waited::TimedOut => return Ok(Waited::TimedOut),
                Waited::Interrupted => return Ok(Waited::Interrupted),
            }
        }
        let Some(attached) = self.attached.get() else { return Ok(Waited::TimedOut) };
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
    ) -> Result<Waited<Arrival>, ReceiveError> {
        let (me, receivers) = (ProcessId::current(), attached.incoming().receivers());
        let (mut is_readable, mut wait) = (false, Deadline::new(deadline));
        with_thread_spin(|spin| {
            loop {
                match receivers.take(me, spin, deadline) {
                    Taken::Clean => {}
                    Taken::OwnerDied(_) => self.after_a_death(attached, me),
                    Taken::TimedOut => return Ok(Waited::TimedOut),
                    Taken::Interrupted => return Ok(Waited::Interrupted),
                }
                let mut taken = self.take_from_ring(attached, me, buffer, false);
                if matches!(taken, Ok(None)) {
                    taken = if is_readable {
                        self.take_from_socket(attached, me, buffer)
                    } else if deadline.is_none_or(|deadline| deadline > Instant::now()) {
                        self.attend(attached, me, buffer, spin)
                    } else {
                        Ok(None)
                    };
                }
                receivers.release(me);
                if let Some(arrival) = taken? {
                    return Ok(Waited::Done(arrival));
                }
                let left = wait.left();
                let woken = wait.deaths.sleep_until_readable(self.as_fd(), receivers, left);
                let slept = woken.map(|woken| wait.after(woken));
                match slept.map_err(ReceiveError::System)? {
                    After::Look => is_readable = true,
                    // A sender may have died between its commit and the bell.
                    After::LookForDead => is_readable = false,
                    After::Interrupted => return Ok(Waited::Interrupted),
                    After::GiveUp => return Ok(Waited::TimedOut),
                }
            }
        })
    }

    /// Spins for a message, in the receivers' guard and with an empty ring.
    fn attend(
        &self,
        attached: &Attached,
        me: ProcessId,
        buffer: &mut [u8],
        spin: &mut Spin,
    ) -> Result<Option<Arrival>, ReceiveError> {
        let lane = attached.incoming();
        lane.doorbell().attend();
        crash_point!("pipe: attending");
        if lane.is_empty() {
            spin.until(|| lane.doorbell().is_claimed());
        }
        let is_claimed = lane.doorbell().leave();
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
    ) -> Result<Option<Arrival>, ReceiveError> {
        let lane = attached.incoming();
        let mut ring = lane.receiving()?;
        let arrival = loop {
            let Some(frame) = ring.front()? else { return Ok(None) };
            let Some(number) = packet_number(&frame) else {
                let packet = frame.body();
                let place = 0..packet.len();
                let copied = buffer.get_mut(place.clone()).map(|to| to.copy_from_slice(packet));
                frame.release();
                crash_point!("pipe: frame is given back");
                copied.ok_or(ReceiveError::Damaged)?;
                break Arrival { place, fd: None, bundle: None };
            };
            if lane.doorbell().is_heard(number) {
                // An end without rings has taken the packet.
                frame.release();
                continue;
            }
            match self.receive_packet(buffer).map_err(ReceiveError::System)? {
                Received::Nothing | Received::End => frame.release(),
                Received::Packet(_, Some(bell), _) if bell.is_bell => {
                    if bell.is_after(number) {
                        // The packet is gone, and so is now the bell for what comes next.
                        lane.doorbell().hear(bell.number);
                    }
                }
                Received::Packet(arrival, prefix, _) => {
                    crash_point!("pipe: packet is received");
                    if let Some(prefix) = prefix {
                        lane.doorbell().hear(prefix.number);
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
    ) -> Result<Option<Arrival>, ReceiveError> {
        let lane = attached.incoming();
        loop {
            match self.peek().map_err(ReceiveError::System)? {
                Next::Nothing => return Ok(None),
                Next::Numbered(bell) if bell.is_bell => {
                    self.take_bells(attached, me);
                    if let Some(arrival) = self.take_from_ring(attached, me, buffer, false)? {
                        return Ok(Some(arrival));
                    }
                    let next = self.peek().map_err(ReceiveError::System)?;
                    if matches!(next, Next::Numbered(still) if still == bell) {
                        // It is for a message that is gone already, and its sender is not done.
                        return Ok(None);
                    }
                }
                Next::End => {
                    // No sender is left to add to the ring.
                    let last = self.take_from_ring(attached, me, buffer, true)?;
                    return last.map_or_else(|| self.has_ended(), |arrival| Ok(Some(arrival)));
                }
                Next::Numbered(_) | Next::Packet => {
                    if let Some(arrival) = self.take_from_ring(attached, me, buffer, false)? {
                        return Ok(Some(arrival));
                    }
                    let received = self.receive_packet(buffer).map_err(ReceiveError::System)?;
                    if let Received::Packet(arrival, prefix, _) = received {
                        if let Some(prefix) = prefix {
                            lane.doorbell().hear(prefix.number);
                        }
                        crash_point!("pipe: received");
                        // A bell may have come behind it, for a message that went before.
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
        arrival: Arrival,
        buffer: &'b [u8],
    ) -> Result<Message<'b>, ReceiveError> {
        let Arrival { place, fd, bundle } = arrival;
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
