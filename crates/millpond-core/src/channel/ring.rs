//! A ring of frames with one producer and one consumer, in memory that processes share: the links of
//! pools have two, and pipes, whose ends many processes use in turn, two as well.
//!
//! ```text
//! tail  written by the producer: frames before it are committed
//! head  written by the consumer: frames before it are done with, their bytes may be overwritten
//! frame [length u32][tag u32][body …], a multiple of 8 bytes, never wrapped around the end
//! ```
//!
//! Writing a frame and storing `tail` with release are two steps: a producer that dies between
//! them leaves bytes that are never looked at. A frame that does not fit before the end of the
//! buffer is preceded by padding, a frame with the tag `Tag::PADDING`.
//!
//! Each end keeps what it last saw of the other's cursor, and looks again only when that says
//! "nothing to do": while there is a backlog the two share no cache line but those of the frames.
//!
//! A committed frame can be taken back by the producer until the consumer claims it. Both sides
//! decide by one compare-exchange on the tag:
//!
//! ```text
//! PENDING ──consumer──▶ CLAIMED     it will be used
//!    └──────producer──▶ REVOKED     the consumer skips it
//! ```
//!
//! Lengths come from the other process: a reader checks them against the buffer and reports
//! [`Corrupt`] instead of following them.

use std::ptr::NonNull;

use crate::sync::atomic::Ordering;
use crate::sync::atomic::in_place::{AtomicU32, AtomicU64};

/// Keeps a value off its neighbours' cache lines (128: adjacent lines are fetched in pairs).
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Line<T>(pub T);

/// What may happen to a frame yet.
#[derive(Debug)]
pub(crate) struct Tag;

impl Tag {
    /// Committed, not yet claimed.
    pub(crate) const PENDING: u32 = 0;
    /// The consumer has it.
    pub(crate) const CLAIMED: u32 = 1;
    /// The producer took it back.
    pub(crate) const REVOKED: u32 = 2;
    /// Not a frame: the rest of the buffer.
    pub(crate) const PADDING: u32 = 3;
}

/// The other process wrote what no correct process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the shared ring holds a frame that cannot be")
    }
}

impl std::error::Error for Corrupt {}

/// Bytes of a frame before its body.
pub(crate) const FRAME_HEADER: usize = 8;

/// Where a ring lies, of zeros when it is new.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    tail: NonNull<AtomicU64>,
    head: NonNull<AtomicU64>,
    bytes: NonNull<u8>,
    /// A power of two.
    capacity: usize,
}

impl Ring {
    /// The ring of these cursors, the tail and the head.
    ///
    /// # Safety
    /// The cursors and `capacity` bytes at `bytes` (8-aligned, a power of two) stay mapped as long
    /// as ends of this are used. Of all processes, one producer and one consumer of this ring are in
    /// use at a time.
    #[must_use]
    pub unsafe fn new(
        [tail, head]: [NonNull<AtomicU64>; 2],
        bytes: NonNull<u8>,
        capacity: usize,
    ) -> Self {
        debug_assert!(capacity.is_power_of_two());
        Self { tail, head, bytes, capacity }
    }

    fn tail(&self) -> &AtomicU64 {
        // SAFETY: `new` was promised that it is valid.
        unsafe { self.tail.as_ref() }
    }

    fn head(&self) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { self.head.as_ref() }
    }

    fn index(&self, position: u64) -> usize {
        // Truncation is harmless: the capacity is a power of two that fits a usize.
        #[expect(clippy::cast_possible_truncation)]
        let low = position as usize;
        low & (self.capacity - 1)
    }

    /// The word at `position`, which is a multiple of 4 within the buffer.
    pub(crate) fn word(&self, position: u64) -> &AtomicU32 {
        let index = self.index(position);
        debug_assert!(index.is_multiple_of(4) && index + 4 <= self.capacity);
        // SAFETY: in bounds and aligned; words of frame headers are only accessed as atomics
        // while both sides may look at them.
        unsafe { self.bytes.add(index).cast::<AtomicU32>().as_ref() }
    }

    fn at(&self, position: u64) -> NonNull<u8> {
        // SAFETY: `index` is below the capacity.
        unsafe { self.bytes.add(self.index(position)) }
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    tail: u64,
    /// The consumer's head when it was last looked at.
    seen_head: u64,
    /// The consumer's head was once where no correct consumer puts it.
    is_damaged: bool,
}

/// The reading end.
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    head: u64,
    /// The producer's tail when it was last looked at.
    seen_tail: u64,
}

// SAFETY: an end is a pointer into memory that outlives it; one thread at a time uses it (`&mut`).
unsafe impl Send for Producer {}
// SAFETY: as above.
unsafe impl Send for Consumer {}
// SAFETY: shared references only load atomics and read frames that must not be written.
unsafe impl Sync for Producer {}
// SAFETY: shared references only load atomics.
unsafe impl Sync for Consumer {}

/// The largest body that fits a ring of `capacity` bytes: a quarter, so that padding never starves
/// a frame.
#[must_use]
pub(crate) const fn largest_body(capacity: usize) -> usize {
    capacity / 4 - FRAME_HEADER
}

fn frame_length(body: usize) -> usize {
    (FRAME_HEADER + body).next_multiple_of(8)
}

impl Producer {
    /// The writing end, at `tail`, with the consumer's head as it was last seen.
    #[inline]
    #[must_use]
    pub fn new(ring: Ring, tail: u64, seen_head: u64) -> Self {
        Self { ring, tail: tail & !7, seen_head, is_damaged: false }
    }

    /// The consumer's head when it was last looked at.
    #[must_use]
    pub(crate) fn seen_head(&self) -> u64 {
        self.seen_head
    }

    /// Commits a frame with `body_length` bytes that `fill` writes. Returns its position, or
    /// `None` when there is no room for now.
    #[inline]
    pub fn push(&mut self, body_length: usize, fill: impl FnOnce(&mut [u8])) -> Option<u64> {
        let length = frame_length(body_length);
        let padding = self.padding(length);
        if !self.has_room(padding + length) {
            return None;
        }
        if padding > 0 {
            self.write_header(self.tail, padding, Tag::PADDING);
        }
        let position = self.tail.wrapping_add(padding as u64);
        // SAFETY: the consumer is done with these bytes (its head was acquired in `has_room`) and
        // will not look at them before the tail passes them; the frame does not wrap.
        let body = unsafe {
            let start = self.ring.at(position).add(FRAME_HEADER);
            std::slice::from_raw_parts_mut(start.as_ptr(), body_length)
        };
        fill(body);
        self.write_header(position, FRAME_HEADER + body_length, Tag::PENDING);
        self.tail = position.wrapping_add(length as u64);
        // Release: publishes the frame's bytes to the consumer. This store is the commit.
        self.ring.tail().store(self.tail, Ordering::Release);
        Some(position)
    }

    /// Whether [`push`](Self::push) would find room for a body of this length.
    pub(crate) fn has_room_for(&mut self, body_length: usize) -> bool {
        let length = frame_length(body_length);
        self.has_room(self.padding(length) + length)
    }

    /// How many bytes before the end a frame of `length` bytes must skip.
    fn padding(&self, length: usize) -> usize {
        let to_end = self.ring.capacity - self.ring.index(self.tail);
        if to_end < length { to_end } else { 0 }
    }

    fn has_room(&mut self, length: usize) -> bool {
        let used = |this: &Self| this.tail.wrapping_sub(this.seen_head);
        let needs = |used: u64| used.saturating_add(length as u64);
        if needs(used(self)) > self.ring.capacity as u64 {
            // A broken consumer gains no room.
            let _ = self.look_at_head();
        }
        needs(used(self)) <= self.ring.capacity as u64
    }

    /// The consumer's head, which moves from frame to frame and never beyond the tail.
    ///
    /// # Errors
    /// [`Corrupt`] if it is, or once was, anywhere else.
    pub(crate) fn look_at_head(&mut self) -> Result<u64, Corrupt> {
        // Acquire: the consumer's last reads come before our overwriting, and a claim that came
        // before the head moved is visible too.
        let head = self.ring.head().load(Ordering::Acquire);
        let moved = head.wrapping_sub(self.seen_head);
        let used = self.tail.wrapping_sub(head);
        if !head.is_multiple_of(8)
            || moved > self.tail.wrapping_sub(self.seen_head)
            || used > self.ring.capacity as u64
        {
            self.is_damaged = true;
        }
        if self.is_damaged {
            return Err(Corrupt);
        }
        self.seen_head = head;
        Ok(head)
    }

    /// Whether a look at the consumer's head has found damage.
    #[must_use]
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    fn write_header(&self, position: u64, length: usize, tag: u32) {
        // Relaxed: the tail's release publishes both.
        #[expect(clippy::cast_possible_truncation, reason = "a frame is shorter than the ring")]
        self.ring.word(position).store(length as u32, Ordering::Relaxed);
        self.ring.word(position + 4).store(tag, Ordering::Relaxed);
    }

    /// Takes back the frame at `position`, which this end wrote. False if the consumer has it, or if
    /// that cannot be known.
    pub fn revoke(&mut self, position: u64) -> bool {
        if self.look_at_head().map_or(true, |head| head > position) {
            return false;
        }
        let tag = self.ring.word(position + 4);
        // Relaxed: the outcome decides which side owns the frame and publishes nothing.
        let (pending, revoked) = (Tag::PENDING, Tag::REVOKED);
        tag.compare_exchange(pending, revoked, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the consumer claimed the frame at `position`, with a body of this length, by what the
    /// frame itself says. A producer that went on has overwritten frames that were released.
    ///
    /// # Errors
    /// [`Corrupt`] if the frame's head is not one that this end and a correct consumer leave.
    pub fn claimed(&self, position: u64, body_length: usize) -> Result<bool, Corrupt> {
        if self.tail.wrapping_sub(position) > self.ring.capacity as u64 {
            return Ok(true);
        }
        // Relaxed: the consumer is dead.
        let length = self.ring.word(position).load(Ordering::Relaxed) as usize;
        match self.ring.word(position + 4).load(Ordering::Relaxed) {
            Tag::PENDING if length == FRAME_HEADER + body_length => Ok(false),
            Tag::CLAIMED if length == FRAME_HEADER + body_length => Ok(true),
            _ => Err(Corrupt),
        }
    }
}

impl Consumer {
    /// The reading end, at `head`, with the producer's tail as it was last seen.
    #[inline]
    #[must_use]
    pub fn new(ring: Ring, head: u64, seen_tail: u64) -> Self {
        Self { ring, head: head & !7, seen_tail }
    }

    /// How far it is, and the producer's tail when it was last looked at.
    #[must_use]
    pub(crate) fn snapshot(&self) -> [u64; 2] {
        [self.head, self.seen_tail]
    }

    /// The oldest frame that is committed and not revoked, without claiming it.
    ///
    /// # Errors
    /// [`Corrupt`] if the producer wrote nonsense; the ring must not be used any more then.
    #[inline]
    pub fn front(&mut self) -> Result<Option<Frame<'_>>, Corrupt> {
        let mut has_looked = false;
        loop {
            if self.head == self.seen_tail {
                // One look: a producer that moves it on and on must not keep this end here.
                if has_looked {
                    return Ok(None);
                }
                has_looked = true;
                // Acquire: pairs with the commit in `push`.
                self.seen_tail = self.ring.tail().load(Ordering::Acquire);
                if self.head == self.seen_tail {
                    return Ok(None);
                }
            }
            let committed = self.seen_tail.wrapping_sub(self.head);
            let to_end = (self.ring.capacity - self.ring.index(self.head)) as u64;
            let length = self.ring.word(self.head).load(Ordering::Relaxed) as usize;
            let whole = length.next_multiple_of(8);
            if committed > self.ring.capacity as u64
                || length < FRAME_HEADER
                || whole as u64 > committed.min(to_end)
            {
                return Err(Corrupt);
            }
            match self.ring.word(self.head + 4).load(Ordering::Relaxed) {
                Tag::PADDING | Tag::REVOKED => self.release(whole),
                _ => return Ok(Some(Frame { whole, body: length - FRAME_HEADER, end: self })),
            }
        }
    }

    fn release(&mut self, whole: usize) {
        self.head = self.head.wrapping_add(whole as u64);
        // Release: our reads of the frame come before its overwriting.
        self.ring.head().store(self.head, Ordering::Release);
    }
}

/// The frame at the front of a ring. Dropped, it stays there; see [`release`](Frame::release).
#[derive(Debug)]
pub struct Frame<'a> {
    end: &'a mut Consumer,
    whole: usize,
    body: usize,
}

impl Frame<'_> {
    /// Makes the frame the consumer's. False if the producer took it back first.
    ///
    /// # Errors
    /// [`Corrupt`] if the frame is neither the consumer's nor the producer's to decide about: it
    /// would stay at the front for ever.
    pub fn claim(&self) -> Result<bool, Corrupt> {
        let tag = self.end.ring.word(self.end.head + 4);
        // Relaxed: as in `revoke`; the body was acquired with the tail.
        let (pending, claimed) = (Tag::PENDING, Tag::CLAIMED);
        match tag.compare_exchange(pending, claimed, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(true),
            Err(Tag::REVOKED) => Ok(false),
            Err(_) => Err(Corrupt),
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        // SAFETY: `front` checked the length; the producer does not write between head and tail.
        unsafe {
            let start = self.end.ring.at(self.end.head).add(FRAME_HEADER);
            std::slice::from_raw_parts(start.as_ptr(), self.body)
        }
    }

    /// Gives the bytes back to the producer.
    pub fn release(self) {
        self.end.release(self.whole);
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
