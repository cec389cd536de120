//! The doorbell: the handshake by which the two sides of a ring keep the pipe's socket readable
//! exactly while the ring has a message that no receiver was told of.
//!
//! ```text
//! attending  1: a receiver spins, and will look at the ring before it does anything else
//! rung       the number of the last bell or numbered packet that a sender sent
//! packet     the number of the last numbered packet
//! heard      bells and numbered packets up to here are done with
//! announced  where the ring's tail was when a sender last was done with all but sending its bell
//! ```
//!
//! While the ring has a message, a packet with a number above `heard` is in the socket, or about to
//! be. The one exception is a message that an attending receiver was told of: a sender that takes
//! `attending` from 1 to 0 after its commit leaves that message to the receiver without a bell.
//!
//! ```text
//! sender, in its guard               receiver, in its guard
//!   commit                             attending = 1
//!   ── fence ──                        ── fence ──
//!   attending 1 → 0? done              look at the ring; spin while attending is 1
//!   rung after heard? done: it rings   attending = 0; look at the ring
//!   rung += 1
//!   announced = tail; send the bell
//!                                    when it took the last message
//!                                      wait until all is announced
//!                                      for each bell that is first in the socket:
//!                                        heard = its number
//!                                        ── fence ──
//!                                        ring still empty: take the bell away
//!                                        else: heard as before, the bell stays
//! ```
//!
//! Of the first pair of fences one comes first: the receiver sees the commit, or the sender sees
//! that it attends. Of the second: the receiver sees the commit and leaves the bell where it is, or
//! the sender sees that the bell is gone and rings anew. A receiver waits for the claim, not for
//! the message, since a sender whose message vanished before its announcement would ring for
//! nothing; for the same reason one that was not claimed waits until what it took is announced, and
//! if the bell is not there yet, until the sender has left its guard. It does not wait for the guard
//! otherwise: the bell may have it preempt the very sender. A number whose bell or packet is not in
//! the socket is treated as lost only by a receiver that holds the senders' guard; without it, the
//! sender may still be between storing the number and sending the packet.
//!
//! **Deaths.** A sender that dies before its commit leaves nothing. One that dies after it leaves a
//! message without a bell, or a number without a packet: the next sender learns of that by the
//! guard and rings whatever these words hold; and receivers look at the ring when they hear of a
//! death, and at the end of each slice of their sleep. When a receiver dies while it attends, the
//! socket does not tell of the claimed message; other receivers find it in the ring. A receiver
//! that dies between `heard` and taking the bell away leaves a bell whose number is not above
//! `heard`, by which every receiver knows that it is out of date.

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
pub(crate) struct Doorbell {
    attending: AtomicU32,
    rung: AtomicU32,
    packet: AtomicU32,
    heard: AtomicU32,
    announced: AtomicU32,
}

/// Whether one number comes after another; they wrap.
fn is_after(number: u32, other: u32) -> bool {
    number != other && number.wrapping_sub(other) <= u32::MAX / 2
}

/// What senders do, in the senders' guard.
impl Doorbell {
    /// Leaves a message that was committed to a receiver that attends, if there is one.
    #[inline]
    fn claim(&self) -> bool {
        // The first pair of the module's fences, and the second.
        fence(Ordering::SeqCst);
        self.attending.load(Ordering::Relaxed) == 1
            // Release: a receiver that finds itself claimed sees the commit.
            && self.attending.swap(0, Ordering::Release) == 1
    }

    /// Tells receivers of a commit, which brought the tail here. Returns the number of the bell that
    /// the caller must send, if it must; `anew` if what is said here cannot be trusted, because a
    /// sender died.
    #[inline]
    pub(crate) fn announce(&self, tail: u32, anew: bool) -> Option<u32> {
        let number = self.bell_for_commit(anew);
        if let Some(number) = number {
            // Relaxed: the store of `announced` publishes it.
            self.rung.store(number, Ordering::Relaxed);
        }
        // Release: a receiver that sees this sees the number, and that it was claimed or was not.
        self.announced.store(tail, Ordering::Release);
        number
    }

    #[inline]
    fn bell_for_commit(&self, anew: bool) -> Option<u32> {
        if self.claim() && !anew {
            return None;
        }
        // Relaxed, both: only senders write the one, and the fence orders the other with the commit.
        let heard = self.heard.load(Ordering::Relaxed);
        if is_after(self.rung.load(Ordering::Relaxed), heard) && !anew {
            return None;
        }
        crash_point!("pipe: about to ring");
        Some(self.next(heard))
    }

    /// Tells receivers of a packet that was sent and whose place in the order is committed: the
    /// packet is its own bell.
    pub(crate) fn announce_packet(&self, tail: u32) {
        self.claim();
        // Release: as in `announce`.
        self.announced.store(tail, Ordering::Release);
    }

    /// The number that comes after all that were given.
    fn next(&self, heard: u32) -> u32 {
        let rung = self.rung.load(Ordering::Relaxed);
        // A number that was taken back may have been heard of.
        if is_after(heard, rung) { heard.wrapping_add(1) } else { rung.wrapping_add(1) }
    }

    /// Whether a numbered packet waits in the socket. What is sent now must go behind it.
    #[inline]
    pub(crate) fn packet_waits(&self) -> bool {
        // Acquire: the bells that the receiver took are taken.
        is_after(self.packet.load(Ordering::Relaxed), self.heard.load(Ordering::Acquire))
    }

    /// A number for the packet that the caller is about to send.
    pub(crate) fn number_packet(&self) -> Numbered<'_> {
        let before = (self.rung.load(Ordering::Relaxed), self.packet.load(Ordering::Relaxed));
        let number = self.next(self.heard.load(Ordering::Relaxed));
        // Release: as in `announce`.
        self.rung.store(number, Ordering::Release);
        self.packet.store(number, Ordering::Release);
        Numbered { bell: self, before, number }
    }
}

/// A number that was given to a packet.
#[derive(Debug)]
pub(crate) struct Numbered<'a> {
    bell: &'a Doorbell,
    before: (u32, u32),
    /// The number.
    pub(crate) number: u32,
}

impl Numbered<'_> {
    /// The packet was not sent after all.
    pub(crate) fn take_back(self) {
        // Relaxed: as if nothing had been.
        self.bell.packet.store(self.before.1, Ordering::Relaxed);
        self.bell.rung.store(self.before.0, Ordering::Relaxed);
    }
}

/// What receivers do, in the receivers' guard.
impl Doorbell {
    /// Says that the caller will spin. It must look at the ring before it does.
    pub(crate) fn attend(&self) {
        self.attending.store(1, Ordering::Relaxed);
        // The first pair of the module's fences.
        fence(Ordering::SeqCst);
    }

    /// Whether a sender left its message to the caller, a receiver that attends.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        // Acquire: the message is visible.
        self.attending.load(Ordering::Acquire) == 0
    }

    /// Attends no longer. Returns whether a sender left its message to the caller.
    pub(crate) fn leave(&self) -> bool {
        // Acquire: as in `is_claimed`. A swap, so that one of the two gets the message told.
        self.attending.swap(0, Ordering::Acquire) == 0
    }

    /// Whether all that a receiver took up to this head was announced. If something
    /// [is outstanding](Self::is_outstanding) then, it is in the socket or about to be.
    pub(crate) fn is_announced(&self, head: u32) -> bool {
        // Acquire: pairs with `announce`.
        self.announced.load(Ordering::Acquire) == head
    }

    /// Waits, as the receiver that found the ring empty, until no sender is between its commit and
    /// its bell. Returns whether that is so.
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
                    // One that is stopped there may ring for nothing when it goes on.
                    Taken::TimedOut => return false,
                }
            }
        }
        // Acquire: what the sender said before it left the guard is visible.
        fence(Ordering::Acquire);
        is_empty()
    }

    /// Whether something was rung that was not heard.
    pub(crate) fn is_outstanding(&self) -> bool {
        // Acquire: pairs with the numbers' release.
        is_after(self.rung.load(Ordering::Acquire), self.heard.load(Ordering::Relaxed))
    }

    /// Takes note of all that was rung if there is nothing of it in the socket, and no message
    /// either, which `is_gone` tells.
    pub(crate) fn hush_lost(
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
            self.heard.store(self.rung.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        senders.release(me);
    }

    /// Takes note of all up to the bell of this number, which is first in the socket. Returns
    /// whether the ring is still empty; otherwise nothing is noted, and the bell must stay.
    pub(crate) fn hush(&self, bell: u32, is_empty: impl Fn() -> bool) -> bool {
        let before = self.heard.load(Ordering::Relaxed);
        self.heard.store(bell, Ordering::Relaxed);
        crash_point!("pipe: bell is heard");
        // The second pair of the module's fences.
        fence(Ordering::SeqCst);
        let is_empty = is_empty();
        if !is_empty {
            // That message's sender may have found the bell outstanding. If not, it rang anew.
            self.heard.store(before, Ordering::Relaxed);
        }
        is_empty
    }

    /// Whether the bell or packet of this number is done with.
    #[must_use]
    pub(crate) fn is_heard(&self, number: u32) -> bool {
        !is_after(number, self.heard.load(Ordering::Relaxed))
    }

    /// Takes note of a numbered packet that the caller has taken out of the socket, and with it of
    /// all that was before.
    pub(crate) fn hear(&self, number: u32) {
        if !self.is_heard(number) {
            // Release: a sender that sees this finds the socket as the caller left it.
            self.heard.store(number, Ordering::Release);
        }
    }
}
