//! One direction of a pipe: the ring of its small messages, and what its two sides note beside it.
//!
//! A frame of the [ring](crate::channel::ring) is a packet, as the socket would carry it. A frame
//! of four bytes is the number of a packet in the socket, and marks that packet's place in the
//! order.
//!
//! Each side has a guard, so that one sender and one receiver at a time are in the ring. Each
//! continues at the position that the previous holder of its guard stored last, also if that one
//! died: bytes written or read before the store that commits or takes a frame have no effect.

use std::ops::Range;
use std::ptr::NonNull;

use super::readiness::Readiness;
use crate::channel::ring::{Consumer, Corrupt, FRAME_HEADER, Frame, Line, Producer, Ring};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::event_count::{EventCount, Notify};
use crate::sync::robust::RobustWord;

/// Bytes of a ring: some 5000 small numbers. Also bounds what is in flight outside of the socket.
pub(super) const CAPACITY: usize = 128 << 10;
/// The bytes that receivers free between two notifications of `room`.
const SHARE: u64 = CAPACITY as u64 / 4;
/// How much gets pages at a time.
const PAGES: usize = 16 << 10;
/// Bytes of the number of a packet; a packet is longer.
const NUMBER: usize = 4;

/// What a side writes.
#[derive(Debug, Default)]
#[repr(C)]
struct SideWords {
    guard: RobustWord,
    /// How far it is: the tail or the head.
    position: AtomicU64,
    /// The other side's position when this one last looked.
    seen: AtomicU64,
    /// Senders only: how many bytes of the ring have pages, from its start.
    paged: AtomicU64,
}

/// What both sides write of one direction, beside its frames; all zero is a new one.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Words {
    send: Line<SideWords>,
    receive: Line<SideWords>,
    readiness: Line<Readiness>,
    room: Line<EventCount>,
}

/// The frames of one direction, on pages of their own.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(super) struct Frames([AtomicU64; CAPACITY / 8]);

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction<'a> {
    pub(super) words: &'a Words,
    pub(super) frames: &'a Frames,
}

/// The receivers' end of a ring, while its user is in their guard.
pub(super) struct Receiving<'a> {
    direction: Direction<'a>,
    ring: Consumer,
    /// Where it was at first.
    start: u64,
}

impl<'a> Direction<'a> {
    pub(super) fn senders(self) -> &'a RobustWord {
        &self.words.send.0.guard
    }

    pub(super) fn receivers(self) -> &'a RobustWord {
        &self.words.receive.0.guard
    }

    pub(super) fn readiness(self) -> &'a Readiness {
        &self.words.readiness.0
    }

    /// Where senders wait for room.
    pub(super) fn room(self) -> &'a EventCount {
        &self.words.room.0
    }

    fn ring(self) -> Ring {
        let cursors = [&self.words.send, &self.words.receive].map(|side| (&side.0.position).into());
        // SAFETY: its ends live as long as a call, or as a `Receiving<'a>`, in their side's guard.
        unsafe { Ring::new(cursors, NonNull::from(self.frames).cast(), CAPACITY) }
    }
}

/// What senders do, in their guard.
impl Direction<'_> {
    /// Commits a message; false if there is no room.
    #[inline]
    pub(super) fn push_message(self, packet: &[u8]) -> Result<bool, Corrupt> {
        debug_assert!(packet.len() > NUMBER);
        self.sending(|ring| ring.push(packet.len(), |out| out.copy_from_slice(packet)).is_some())
    }

    /// Says that the packet of this number comes here in the order. There must be
    /// [room](Self::has_room_for_packet).
    pub(super) fn push_packet(self, number: u32) -> Result<bool, Corrupt> {
        let number = number.to_le_bytes();
        self.sending(|ring| ring.push(NUMBER, |out| out.copy_from_slice(&number)).is_some())
    }

    /// Whether there is room for the number of a packet.
    pub(super) fn has_room_for_packet(self) -> Result<bool, Corrupt> {
        self.sending(|ring| ring.has_room_for(NUMBER))
    }

    #[inline]
    fn sending(self, act: impl FnOnce(&mut Producer) -> bool) -> Result<bool, Corrupt> {
        let side = &self.words.send.0;
        // Relaxed, all: only senders write both, and the guard orders them.
        let tail = side.position.load(Ordering::Relaxed);
        if !tail.is_multiple_of(8) {
            return Err(Corrupt);
        }
        let mut ring = Producer::new(self.ring(), tail, side.seen.load(Ordering::Relaxed));
        let is_done = act(&mut ring);
        side.seen.store(ring.seen_head(), Ordering::Relaxed);
        if ring.is_damaged() { Err(Corrupt) } else { Ok(is_done) }
    }

    /// The tail, as [`Readiness`] knows it.
    #[inline]
    pub(super) fn tail(self) -> u32 {
        self.words.send.0.position.load(Ordering::Relaxed) as u32
    }

    /// The part of the ring into which the next message of `length` bytes may be written and that
    /// has no pages, if there is one.
    #[inline]
    pub(super) fn without_pages(self, length: usize) -> Option<Range<usize>> {
        let side = &self.words.send.0;
        let paged = usize::try_from(side.paged.load(Ordering::Relaxed)).unwrap_or(CAPACITY);
        if paged >= CAPACITY {
            return None;
        }
        // In the first round, when the position is a place.
        let tail = usize::try_from(side.position.load(Ordering::Relaxed)).unwrap_or(CAPACITY);
        let end = tail.saturating_add(length + 2 * FRAME_HEADER).min(CAPACITY);
        (end > paged).then(|| paged..end.next_multiple_of(PAGES))
    }

    /// The ring has pages up to here.
    pub(super) fn has_pages(self, end: usize) {
        self.words.send.0.paged.store(end as u64, Ordering::Relaxed);
    }
}

/// What receivers do; without their guard, but for [`receiving`](Direction::receiving).
impl<'a> Direction<'a> {
    /// Whether there is no frame.
    pub(super) fn is_empty(self) -> bool {
        // Acquire: a receiver that sees the tail sees what the sender stored before, for instance
        // the words of the readiness.
        let tail = self.words.send.0.position.load(Ordering::Acquire);
        tail == self.words.receive.0.position.load(Ordering::Relaxed)
    }

    /// The head, as [`Readiness`] knows it.
    pub(super) fn head(self) -> u32 {
        self.words.receive.0.position.load(Ordering::Relaxed) as u32
    }

    /// The number of the packet whose place is first, if it is one. While others take frames the
    /// answer means nothing.
    pub(super) fn first_packet(self) -> Option<u32> {
        let head = self.words.receive.0.position.load(Ordering::Acquire) & !7;
        let ring = self.ring();
        // Relaxed: numbers to compare.
        let word = |at: usize| ring.word(head.wrapping_add(at as u64)).load(Ordering::Relaxed);
        (word(0) as usize == FRAME_HEADER + NUMBER).then(|| word(FRAME_HEADER))
    }

    /// The receivers' end of the ring, for a caller in their guard.
    #[inline]
    pub(super) fn receiving(self) -> Result<Receiving<'a>, Corrupt> {
        let side = &self.words.receive.0;
        // Relaxed, both: only receivers write them, and the guard orders them.
        let start = side.position.load(Ordering::Relaxed);
        if !start.is_multiple_of(8) {
            return Err(Corrupt);
        }
        let seen = side.seen.load(Ordering::Relaxed);
        // A receiver that died between giving a frame back and noting what it had seen left less than
        // it took. The next one looks at the tail anew.
        let is_behind = seen.wrapping_sub(start) > CAPACITY as u64;
        let ring = Consumer::new(self.ring(), start, if is_behind { start } else { seen });
        Ok(Receiving { direction: self, ring, start })
    }

    /// Wakes the senders that wait for room.
    pub(super) fn tell_of_room(self) {
        // There are no watchers.
        let _ = self.room().notify(Notify::Eager);
    }
}

impl Receiving<'_> {
    /// The first frame, if there is one.
    #[inline]
    pub(super) fn front(&mut self) -> Result<Option<Frame<'_>>, Corrupt> {
        self.ring.front()
    }

    /// Whether it has taken all that there was when it last looked.
    pub(super) fn is_exhausted(&self) -> bool {
        let [head, seen] = self.ring.snapshot();
        head == seen
    }
}

impl Drop for Receiving<'_> {
    #[inline]
    fn drop(&mut self) {
        let [head, seen] = self.ring.snapshot();
        // Relaxed: as when it was loaded.
        self.direction.words.receive.0.seen.store(seen, Ordering::Relaxed);
        if head / SHARE != self.start / SHARE {
            self.direction.tell_of_room();
        }
    }
}

/// The number in a frame that is the place of a packet.
#[inline]
pub(super) fn packet_number(frame: &Frame<'_>) -> Option<u32> {
    frame.body().try_into().ok().map(u32::from_le_bytes)
}
