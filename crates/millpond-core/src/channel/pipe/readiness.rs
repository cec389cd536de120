//! `Readiness`, the handshake by which the two sides of a ring keep the pipe's socket readable
//! exactly while the ring has a message that no receiver was told of.
//!
//! ```text
//! spinning      1: a receiver spins, and will look at the ring before it does anything else
//! sent          the number of the last notification or numbered packet that a sender sent
//! packet        the number of the last numbered packet
//! acknowledged  notifications and numbered packets up to here are done with
//! notified      where the tail was when a sender last was done with all but sending its notification
//! ```
//!
//! While the ring has a message, a packet with a number above `acknowledged` is in the socket, or
//! about to be. The one exception is a message that a spinning receiver was told of: a sender that
//! takes `spinning` from 1 to 0 after its commit leaves that message to the receiver without a
//! notification.
//!
//! ```text
//! sender, in its guard               receiver, in its guard
//!   commit                             spinning = 1
//!   ── fence ──                        ── fence ──
//!   spinning 1 → 0? done               look at the ring; spin while spinning is 1
//!   sent after acknowledged? done:     spinning = 0; look at the ring
//!     a notification is out
//!   sent += 1
//!   notified = tail; notify
//!                                    when it took the last message
//!                                      wait until all is notified
//!                                      for each notification that is first in the socket:
//!                                        acknowledged = its number
//!                                        ── fence ──
//!                                        ring still empty: take the notification away
//!                                        else: acknowledged as before, the notification stays
//! ```
//!
//! Of the first pair of fences one comes first: the receiver sees the commit, or the sender sees
//! that it spins. Of the second: the receiver sees the commit and leaves the notification where it
//! is, or the sender sees that the notification is gone and notifies anew. A receiver waits for the
//! claim, not for the message, since a sender whose message vanished before its notification would
//! notify for nothing; for the same reason one that was not claimed waits until what it took is
//! notified, and if the notification is not there yet, until the sender has left its guard. It does
//! not wait for the guard otherwise: the notification may have it preempt the very sender. A number
//! whose notification or packet is not in the socket is treated as lost only by a receiver that
//! holds the senders' guard; without it, the sender may still be between storing the number and
//! sending the packet.
//!
//! **Deaths.** A sender that dies before its commit leaves nothing. One that dies after it leaves a
//! message without a notification, or a number without a packet: the next sender learns of that by
//! the guard and notifies whatever these words hold; and receivers look at the ring when they
//! notice a death, and at each recheck of their sleep. When a receiver dies while it spins, the
//! socket does not tell of the claimed message; other receivers find it in the ring. A receiver
//! that dies between `acknowledged` and taking the notification away leaves one whose number is not
//! above `acknowledged`, by which every receiver knows that it is out of date.

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sync::deadline::RECHECK_INTERVAL;
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::spin::Spin;

/// The words of one direction; all zero is a new one.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Readiness {
    spinning: AtomicU32,
    sent: AtomicU32,
    packet: AtomicU32,
    acknowledged: AtomicU32,
    notified: AtomicU32,
}

/// Whether one number comes after another; they wrap.
fn is_after(number: u32, other: u32) -> bool {
    number != other && number.wrapping_sub(other) <= u32::MAX / 2
}

/// What senders do, in the senders' guard.
impl Readiness {
    /// Leaves a message that was committed to a receiver that spins, if there is one.
    #[inline]
    fn claim(&self) -> bool {
        // The first pair of the module's fences, and the second.
        fence(Ordering::SeqCst);
        self.spinning.load(Ordering::Relaxed) == 1
            // Release: a receiver that finds itself claimed sees the commit.
            && self.spinning.swap(0, Ordering::Release) == 1
    }

    /// Tells receivers of a commit, which brought the tail here. Returns the number of the
    /// notification that the caller must send, if it must; `anew` if what is said here cannot be
    /// trusted, because a sender died.
    #[inline]
    pub(crate) fn notify(&self, tail: u32, anew: bool) -> Option<u32> {
        let number = self.notification_for_commit(anew);
        if let Some(number) = number {
            // Relaxed: the store of `notified` publishes it.
            self.sent.store(number, Ordering::Relaxed);
        }
        // Release: a receiver that sees this sees the number, and that it was claimed or was not.
        self.notified.store(tail, Ordering::Release);
        number
    }

    #[inline]
    fn notification_for_commit(&self, anew: bool) -> Option<u32> {
        if self.claim() && !anew {
            return None;
        }
        // Relaxed, both: only senders write the one, and the fence orders the other with the commit.
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        if is_after(self.sent.load(Ordering::Relaxed), acknowledged) && !anew {
            return None;
        }
        crash_point!("pipe: about to notify");
        Some(self.next(acknowledged))
    }

    /// Tells receivers of a packet that was sent and whose place in the order is committed: the
    /// packet is its own notification.
    pub(crate) fn notify_packet(&self, tail: u32) {
        self.claim();
        // Release: as in `notify`.
        self.notified.store(tail, Ordering::Release);
    }

    /// The number that comes after all that were given.
    fn next(&self, acknowledged: u32) -> u32 {
        let sent = self.sent.load(Ordering::Relaxed);
        // A number that was taken back may have been noticed.
        if is_after(acknowledged, sent) {
            acknowledged.wrapping_add(1)
        } else {
            sent.wrapping_add(1)
        }
    }

    /// Whether a numbered packet waits in the socket. What is sent now must go behind it.
    #[inline]
    pub(crate) fn packet_waits(&self) -> bool {
        // Acquire: the notifications that the receiver took are taken.
        is_after(self.packet.load(Ordering::Relaxed), self.acknowledged.load(Ordering::Acquire))
    }

    /// A number for the packet that the caller is about to send.
    pub(crate) fn number_packet(&self) -> Numbered<'_> {
        let before = (self.sent.load(Ordering::Relaxed), self.packet.load(Ordering::Relaxed));
        let number = self.next(self.acknowledged.load(Ordering::Relaxed));
        // Release: as in `notify`.
        self.sent.store(number, Ordering::Release);
        self.packet.store(number, Ordering::Release);
        Numbered { readiness: self, before, number }
    }
}

/// A number that was given to a packet.
#[derive(Debug)]
pub(crate) struct Numbered<'a> {
    readiness: &'a Readiness,
    before: (u32, u32),
    /// The number.
    pub(crate) number: u32,
}

impl Numbered<'_> {
    /// The packet was not sent after all.
    pub(crate) fn take_back(self) {
        // Relaxed: as if nothing had been.
        self.readiness.packet.store(self.before.1, Ordering::Relaxed);
        self.readiness.sent.store(self.before.0, Ordering::Relaxed);
    }
}

/// What receivers do, in the receivers' guard.
impl Readiness {
    /// Says that the caller will spin. It must look at the ring before it does.
    pub(crate) fn begin_spinning(&self) {
        self.spinning.store(1, Ordering::Relaxed);
        // The first pair of the module's fences.
        fence(Ordering::SeqCst);
    }

    /// Whether a sender left its message to the caller, a receiver that spins.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        // Acquire: the message is visible.
        self.spinning.load(Ordering::Acquire) == 0
    }

    /// Spins no longer. Returns whether a sender left its message to the caller.
    pub(crate) fn leave(&self) -> bool {
        // Acquire: as in `is_claimed`. A swap, so that one of the two gets the message told.
        self.spinning.swap(0, Ordering::Acquire) == 0
    }

    /// Whether all that a receiver took up to this head was notified. If something
    /// [is outstanding](Self::is_outstanding) then, it is in the socket or about to be.
    pub(crate) fn is_notified(&self, head: u32) -> bool {
        // Acquire: pairs with `notify`.
        self.notified.load(Ordering::Acquire) == head
    }

    /// Waits, as the receiver that found the ring empty, until no sender is between its commit and
    /// its notification. Returns whether that is so.
    pub(crate) fn settle(
        &self,
        senders: &RobustWord,
        me: ProcessId,
        is_empty: impl Fn() -> bool,
    ) -> bool {
        let is_settled = || !is_empty() || senders.holder().is_none();
        if !Spin::default().until(is_settled) {
            let deadline = Instant::now() + RECHECK_INTERVAL;
            loop {
                match senders.take(me, &mut Spin::default(), Some(deadline)) {
                    // What the dead one had left unsaid is settled here, as the ring is empty.
                    Taken::Clean | Taken::OwnerDied(_) => {
                        senders.release(me);
                        break;
                    }
                    // A signal is for the caller's next wait.
                    Taken::Interrupted => {}
                    // One that is stopped there may notify for nothing when it goes on.
                    Taken::TimedOut => return false,
                }
            }
        }
        // Acquire: what the sender said before it left the guard is visible.
        fence(Ordering::Acquire);
        is_empty()
    }

    /// Whether something was sent that was not acknowledged.
    pub(crate) fn is_outstanding(&self) -> bool {
        // Acquire: pairs with the numbers' release.
        is_after(self.sent.load(Ordering::Acquire), self.acknowledged.load(Ordering::Relaxed))
    }

    /// Takes note of all that was sent if there is nothing of it in the socket, and no message
    /// either, which `is_gone` tells.
    pub(crate) fn acknowledge_lost(
        &self,
        senders: &RobustWord,
        me: ProcessId,
        is_gone: impl Fn() -> bool,
    ) {
        // In the senders' guard: outside of it a number may belong to a packet that is being sent.
        let deadline = Instant::now() + RECHECK_INTERVAL;
        loop {
            match senders.take(me, &mut Spin::default(), Some(deadline)) {
                Taken::Clean | Taken::OwnerDied(_) => break,
                Taken::Interrupted => {}
                Taken::TimedOut => return,
            }
        }
        if is_gone() {
            // Relaxed, both: senders read and write them in the guard.
            self.acknowledged.store(self.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        senders.release(me);
    }

    /// Takes note of all up to the notification of this number, which is first in the socket.
    /// Returns whether the ring is still empty; otherwise nothing is noted, and the notification
    /// must stay.
    pub(crate) fn acknowledge_if_empty(
        &self,
        notification: u32,
        is_empty: impl Fn() -> bool,
    ) -> bool {
        let before = self.acknowledged.load(Ordering::Relaxed);
        self.acknowledged.store(notification, Ordering::Relaxed);
        crash_point!("pipe: notification is acknowledged");
        // The second pair of the module's fences.
        fence(Ordering::SeqCst);
        let is_empty = is_empty();
        if !is_empty {
            // That message's sender may have found the notification outstanding. If not, it
            // notified anew.
            self.acknowledged.store(before, Ordering::Relaxed);
        }
        is_empty
    }

    /// Whether the notification or packet of this number is done with.
    #[must_use]
    pub(crate) fn is_acknowledged(&self, number: u32) -> bool {
        !is_after(number, self.acknowledged.load(Ordering::Relaxed))
    }

    /// Takes note of a numbered packet that the caller has taken out of the socket, and with it of
    /// all that was before.
    pub(crate) fn acknowledge(&self, number: u32) {
        if !self.is_acknowledged(number) {
            // Release: a sender that sees this finds the socket as the caller left it.
            self.acknowledged.store(number, Ordering::Release);
        }
    }
}
