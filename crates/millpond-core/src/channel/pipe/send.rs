//! `End::send` and its parts: commit to the ring, or send a packet, or wait for room.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::end::End;
use super::outgoing::OutgoingMessage;
use super::packet::Prefix;
use super::rings::{Attached, enter_now};
use crate::channel::ring::Corrupt;
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::os::ready::{self, Interest, Polled};
use crate::sync::deadline::{After, Deadline};
use crate::sync::robust::Taken;
use crate::sync::spin::with_thread_spin;

/// How long to wait when too many descriptors are in flight, which no event ends.
const FD_RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// How one try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Sent,
    RingIsFull,
    SocketIsFull,
    TooManyInFlight,
}

impl Tried {
    fn of(sent: Result<(), Errno>) -> io::Result<Self> {
        match sent {
            Ok(()) => Ok(Self::Sent),
            Err(Errno::AGAIN) => Ok(Self::SocketIsFull),
            Err(Errno::TOOMANYREFS) => Ok(Self::TooManyInFlight),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<Corrupt> for io::Error {
    fn from(_: Corrupt) -> Self {
        Self::new(
            io::ErrorKind::InvalidData,
            "the pipe's shared memory holds what no millpond pipe writes there",
        )
    }
}

impl End {
    /// Sends a message that this end prepared, if there is room for it now; returns whether there
    /// was. One that was sent is not sent again.
    ///
    /// # Errors
    /// `BrokenPipe` when the other end is closed everywhere; `InvalidData` when another process
    /// has damaged the pipe's memory; otherwise the system's.
    pub fn try_send(&self, message: &mut OutgoingMessage<'_>) -> io::Result<bool> {
        if message.is_sent() {
            return Ok(true);
        }
        let Some(attached) = self.sends_by() else {
            return Ok(self.try_direct(message)? == Tried::Sent);
        };
        let (me, senders) = (ProcessId::current(), attached.outgoing().senders());
        match enter_now(senders, me) {
            Taken::Clean => {}
            Taken::OwnerDied(_) => self.ring_anew(attached),
            Taken::TimedOut | Taken::Interrupted => return Ok(false),
        }
        let tried = self.try_in_guard(attached, message);
        senders.release(me);
        Ok(tried? == Tried::Sent)
    }

    /// Sends a message that this end prepared, waiting for room until the deadline. If it was not
    /// sent the same message can be tried again.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn send(
        &self,
        message: &mut OutgoingMessage<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Polled<()>> {
        if message.is_sent() {
            return Ok(Polled::Done(()));
        }
        if let Some(attached) = self.sends_by() {
            return self.send_by_ring(attached, message, deadline);
        }
        let attempt = || match self.try_direct(message) {
            Ok(Tried::Sent) => Some(Ok(())),
            Ok(Tried::TooManyInFlight) => {
                std::thread::sleep(FD_RETRY_INTERVAL);
                None
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        match ready::attempt(self.as_fd(), Interest::Writable, deadline, attempt)? {
            Polled::Done(sent) => Ok(Polled::Done(sent?)),
            Polled::TimedOut => Ok(Polled::TimedOut),
            Polled::Interrupted => Ok(Polled::Interrupted),
        }
    }

    fn sends_by(&self) -> Option<&Attached> {
        self.attached.get().filter(|attached| attached.sends)
    }

    /// One try by the socket alone.
    fn try_direct(&self, message: &mut OutgoingMessage<'_>) -> io::Result<Tried> {
        crash_point!("pipe: about to send");
        let tried = Tried::of(self.send_packet(message, None))?;
        if tried == Tried::Sent {
            crash_point!("pipe: sent");
            message.was_sent();
        }
        Ok(tried)
    }

    fn send_by_ring(
        &self,
        attached: &Attached,
        message: &mut OutgoingMessage<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<Polled<()>> {
        let (me, direction) = (ProcessId::current(), attached.outgoing());
        let mut wait = Deadline::new(deadline);
        with_thread_spin(|spin| {
            loop {
                let room = direction.room().listen();
                match direction.senders().take(me, spin, deadline) {
                    Taken::Clean => {}
                    Taken::OwnerDied(_) => self.ring_anew(attached),
                    Taken::TimedOut => return Ok(Polled::TimedOut),
                    Taken::Interrupted => return Ok(Polled::Interrupted),
                }
                let tried = self.try_in_guard(attached, message);
                direction.senders().release(me);
                let waited = match tried? {
                    Tried::Sent => return Ok(Polled::Done(())),
                    Tried::RingIsFull => {
                        let sleep = |word: &_, value| wait.sleep(word, value);
                        match direction.room().wait_with(room, spin, After::Look, sleep) {
                            After::Interrupted => Polled::Interrupted,
                            After::Look | After::LookForDead | After::GiveUp => Polled::Done(()),
                        }
                    }
                    // The kernel also ends this wait when the last receiver is gone.
                    Tried::SocketIsFull => {
                        ready::until(self.as_fd(), Interest::Writable, deadline)?
                    }
                    Tried::TooManyInFlight => {
                        std::thread::sleep(FD_RETRY_INTERVAL);
                        Polled::Done(())
                    }
                };
                if waited == Polled::Interrupted {
                    return Ok(Polled::Interrupted);
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(Polled::TimedOut);
                }
            }
        })
    }

    /// One try, in the senders' guard.
    fn try_in_guard(
        &self,
        attached: &Attached,
        message: &mut OutgoingMessage<'_>,
    ) -> io::Result<Tried> {
        crash_point!("pipe: about to send");
        let direction = attached.outgoing();
        if message.has_fds() || direction.readiness().packet_waits() {
            return self.try_numbered(attached, message);
        }
        // The other end is polled before the commit: after it, a receiver may have taken the
        // message and closed its end at once, which would look like an error.
        if attached.must_look() && self.is_other_end_gone() {
            return Err(Errno::PIPE.into());
        }
        attached.rings.reserve(attached.side, message.packet.len())?;
        if !direction.push_message(&message.packet)? {
            return Ok(Tried::RingIsFull);
        }
        crash_point!("pipe: sent");
        if let Some(number) = direction.readiness().notify(direction.tail(), false)
            && let Err(error) = self.notify(attached, number)
            // As above: no receiver is left now, but one may have received it.
            && !direction.is_empty()
        {
            return Err(error);
        }
        message.was_sent();
        Ok(Tried::Sent)
    }

    /// Sends by the socket what the socket must carry, or what must not overtake that.
    fn try_numbered(
        &self,
        attached: &Attached,
        message: &mut OutgoingMessage<'_>,
    ) -> io::Result<Tried> {
        let direction = attached.outgoing();
        attached.rings.reserve(attached.side, 0)?;
        if !direction.has_room_for_packet()? {
            if self.is_other_end_gone() {
                return Err(Errno::PIPE.into());
            }
            return Ok(Tried::RingIsFull);
        }
        let numbered = direction.readiness().number_packet();
        let number = numbered.number;
        let prefix = Prefix { is_notification: false, side: attached.side, number };
        let sent = self.send_packet(message, Some((prefix, attached.rings.as_fd())));
        if sent.is_err() {
            numbered.take_back();
            return Tried::of(sent);
        }
        message.was_sent();
        crash_point!("pipe: packet is sent");
        direction.push_packet(number)?;
        direction.readiness().notify_packet(direction.tail());
        Ok(Tried::Sent)
    }

    fn notify(&self, attached: &Attached, number: u32) -> io::Result<()> {
        crash_point!("pipe: notification has a number");
        let notification = Prefix { is_notification: true, side: attached.side, number };
        self.send_notification(notification, attached.rings.as_fd())?;
        crash_point!("pipe: notified");
        Ok(())
    }

    /// A sender died in the guard: it may have committed and not notified.
    #[cold]
    fn ring_anew(&self, attached: &Attached) {
        let direction = attached.outgoing();
        if !direction.is_empty()
            && let Some(number) = direction.readiness().notify(direction.tail(), true)
        {
            // If the other end is gone, the send that follows says so.
            let _ = self.notify(attached, number);
        }
    }
}
