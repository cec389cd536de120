//! One direction's ring: records of small messages, and where in their order a packet of the
//! socket comes.
//!
//! ```text
//! record   [length u32][tag u32][body …], a multiple of 8 bytes, never wrapped around the end
//! MESSAGE  the body is a packet, as the socket would carry it
//! PACKET   the body is the number of a packet in the socket, whose place in the order this is
//! PADDING  the rest before the end
//! ```
//!
//! Each side has a guard, so that one sender and one receiver at a time are here. The store of
//! `tail` commits a record, the store of `head` takes one; what was written or read before such a
//! store by somebody who died has no effect. Each side keeps what it last saw of the other's
//! position, and looks again only when that says "nothing to do": while there is a backlog the
//! two share no cache line but those of the records.
//!
//! Positions and lengths come from other processes. They are checked before they are followed.

use std::ops::Range;
use std::ptr::NonNull;

use super::doorbell::Doorbell;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::bell::{Bell, Loudness};
use crate::sync::robust::RobustWord;

/// Bytes of a ring: some 5000 small numbers. Also bounds what is in flight outside of the socket.
pub(super) const CAPACITY: usize = 128 << 10;
const HEADER: usize = 8;
/// The longest body: with the padding before it, a record always fits an empty ring.
const LONGEST: usize = CAPACITY / 2 - HEADER;
/// Senders that wait for room are told each time that so much was made.
const SHARE: u64 = CAPACITY as u64 / 4;
/// How much gets pages at a time.
const PAGES: usize = 16 << 10;

const MESSAGE: u32 = 0;
const PACKET: u32 = 1;
const PADDING: u32 = 2;

/// Keeps what one side writes off the cache lines of the other.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct Line<T>(T);

/// What a side writes.
#[derive(Debug, Default)]
#[repr(C)]
struct Side {
    guard: RobustWord,
    /// How far it is: the tail or the head.
    position: AtomicU64,
    /// The other side's position when this one last looked.
    seen: AtomicU64,
    /// Senders only: how many bytes of the ring have pages, from its start.
    paged: AtomicU64,
}

/// What both sides write of one direction, beside its records; all zero is a new one.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Words {
    send: Line<Side>,
    receive: Line<Side>,
    bell: Line<Doorbell>,
    room: Line<Bell>,
}

/// The records of one direction, on pages of their own.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(super) struct Records([AtomicU64; CAPACITY / 8]);

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane<'a> {
    pub(super) words: &'a Words,
    pub(super) records: &'a Records,
}

/// The memory holds what no sender or receiver writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// The first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A message, whose body has this length.
    Message(Place),
    /// Here comes the packet of this number.
    Packet(u32, Place),
}

/// Where a record is: its position, and the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    position: u64,
    pub(super) length: usize,
}

impl<'a> Lane<'a> {
    pub(super) fn senders(self) -> &'a RobustWord {
        &self.words.send.0.guard
    }

    pub(super) fn receivers(self) -> &'a RobustWord {
        &self.words.receive.0.guard
    }

    pub(super) fn doorbell(self) -> &'a Doorbell {
        &self.words.bell.0
    }

    /// Where senders wait for room.
    pub(super) fn room(self) -> &'a Bell {
        &self.words.room.0
    }

    fn at(self, position: u64) -> NonNull<u8> {
        // Truncation does no harm: the capacity is a power of two that fits.
        let index = position as usize & (CAPACITY - 1);
        // SAFETY: the index lies in the array.
        unsafe { NonNull::from(&self.records.0).cast::<u8>().add(index) }
    }

    fn word(self, position: u64) -> &'a AtomicU64 {
        &self.records.0[position as usize / 8 % (CAPACITY / 8)]
    }
}

/// What senders do, in their guard.
impl Lane<'_> {
    /// Commits a message; false if there is no room.
    pub(super) fn push_message(self, body: &[u8]) -> Result<bool, Corrupt> {
        debug_assert!(body.len() <= LONGEST);
        self.push(MESSAGE, body)
    }

    /// Says that the packet of this number comes here in the order. There must be
    /// [room](Self::has_room).
    pub(super) fn push_packet(self, number: u32) -> Result<bool, Corrupt> {
        self.push(PACKET, &number.to_le_bytes())
    }

    /// Whether there is room for the number of a packet.
    pub(super) fn has_room_for_packet(self) -> Result<bool, Corrupt> {
        Ok(self.place(HEADER + 8)?.is_some())
    }

    /// The tail, as the doorbell knows it.
    #[inline]
    pub(super) fn tail(self) -> u32 {
        self.words.send.0.position.load(Ordering::Relaxed) as u32
    }

    /// The tail, and how much to skip from there for a record of `whole` bytes; `None` if there is
    /// no room.
    #[inline]
    fn place(self, whole: usize) -> Result<Option<(u64, usize)>, Corrupt> {
        let side = &self.words.send.0;
        // Relaxed: only senders write it, and the guard orders them.
        let tail = side.position.load(Ordering::Relaxed);
        let to_end = CAPACITY - (tail as usize & (CAPACITY - 1));
        let padding = if to_end < whole { to_end } else { 0 };
        let needed = (padding + whole) as u64;
        let mut head = side.seen.load(Ordering::Relaxed);
        if tail.wrapping_sub(head).wrapping_add(needed) > CAPACITY as u64 {
            // Acquire: the receiver's last reads come before our overwriting.
            head = self.words.receive.0.position.load(Ordering::Acquire);
            side.seen.store(head, Ordering::Relaxed);
        }
        let used = tail.wrapping_sub(head);
        if !tail.is_multiple_of(8) || used > CAPACITY as u64 {
            return Err(Corrupt);
        }
        Ok((used + needed <= CAPACITY as u64).then_some((tail, padding)))
    }

    /// The part of the ring that the next message of so many bytes may lie in and that has no
    /// pages, if there is one.
    #[inline]
    pub(super) fn without_pages(self, length: usize) -> Option<Range<usize>> {
        let side = &self.words.send.0;
        let paged = usize::try_from(side.paged.load(Ordering::Relaxed)).unwrap_or(CAPACITY);
        if paged >= CAPACITY {
            return None;
        }
        // In the first round, when the position is a place.
        let tail = usize::try_from(side.position.load(Ordering::Relaxed)).unwrap_or(CAPACITY);
        let end = tail.saturating_add(length + 2 * HEADER).min(CAPACITY);
        (end > paged).then(|| paged..end.next_multiple_of(PAGES))
    }

    /// The ring has pages up to here.
    pub(super) fn has_pages(self, end: usize) {
        self.words.send.0.paged.store(end as u64, Ordering::Relaxed);
    }

    #[inline]
    fn push(self, tag: u32, body: &[u8]) -> Result<bool, Corrupt> {
        let whole = (HEADER + body.len()).next_multiple_of(8);
        let Some((tail, padding)) = self.place(whole)? else { return Ok(false) };
        if padding > 0 {
            self.word(tail).store(header(padding, PADDING), Ordering::Relaxed);
        }
        let position = tail.wrapping_add(padding as u64);
        // SAFETY: `place` found the bytes free and before the end; receivers look at them after the
        // commit alone, and this is the only sender in the guard.
        unsafe {
            let to = self.at(position).add(HEADER).as_ptr();
            std::ptr::copy_nonoverlapping(body.as_ptr(), to, body.len());
        }
        self.word(position).store(header(HEADER + body.len(), tag), Ordering::Relaxed);
        let tail = position.wrapping_add(whole as u64);
        // Release: publishes the record. This is the commit.
        self.words.send.0.position.store(tail, Ordering::Release);
        Ok(true)
    }
}

fn header(length: usize, tag: u32) -> u64 {
    length as u64 | u64::from(tag) << 32
}

/// What receivers do, in their guard; [`is_empty`](Lane::is_empty) anybody may ask.
impl Lane<'_> {
    /// Whether there is no record.
    pub(super) fn is_empty(self) -> bool {
        // Acquire: who sees the tail sees what was said before, of bells for instance.
        let tail = self.words.send.0.position.load(Ordering::Acquire);
        tail == self.words.receive.0.position.load(Ordering::Relaxed)
    }

    /// The head, as the doorbell knows it.
    pub(super) fn head(self) -> u32 {
        self.words.receive.0.position.load(Ordering::Relaxed) as u32
    }

    /// The number of the packet whose place is first, if it is one. Anybody may ask; while others
    /// take records the answer means nothing.
    pub(super) fn first_packet(self) -> Option<u32> {
        let head = self.words.receive.0.position.load(Ordering::Acquire) & !7;
        let tag = (self.word(head).load(Ordering::Relaxed) >> 32) as u32;
        // Relaxed: a number to compare.
        (tag == PACKET).then(|| self.word(head.wrapping_add(8)).load(Ordering::Relaxed) as u32)
    }

    /// Whether the receiver has seen all that there was when it last looked.
    pub(super) fn is_exhausted(self) -> bool {
        let side = &self.words.receive.0;
        side.position.load(Ordering::Relaxed) == side.seen.load(Ordering::Relaxed)
    }

    /// The first record, if there is one.
    #[inline]
    pub(super) fn front(self) -> Result<Option<Record>, Corrupt> {
        loop {
            let side = &self.words.receive.0;
            // Relaxed: only receivers write both, and the guard orders them.
            let head = side.position.load(Ordering::Relaxed);
            let mut tail = side.seen.load(Ordering::Relaxed);
            if head == tail {
                // Acquire: pairs with the commit.
                tail = self.words.send.0.position.load(Ordering::Acquire);
                if head == tail {
                    return Ok(None);
                }
                side.seen.store(tail, Ordering::Relaxed);
            }
            let committed = tail.wrapping_sub(head);
            let to_end = CAPACITY - (head as usize & (CAPACITY - 1));
            let word = self.word(head).load(Ordering::Relaxed);
            let (length, tag) = (word as u32 as usize, (word >> 32) as u32);
            let whole = length.next_multiple_of(8);
            if !head.is_multiple_of(8)
                || committed > CAPACITY as u64
                || length < HEADER
                || whole > to_end
                || whole as u64 > committed
            {
                return Err(Corrupt);
            }
            let place = Place { position: head, length: length - HEADER };
            match tag {
                MESSAGE => return Ok(Some(Record::Message(place))),
                PACKET if place.length == 4 => {
                    let number = self.word(head + 8).load(Ordering::Relaxed) as u32;
                    return Ok(Some(Record::Packet(number, place)));
                }
                PADDING => self.take(place),
                _ => return Err(Corrupt),
            }
        }
    }

    /// Copies the body of the first record to the start of `buffer`; false if it is longer.
    #[inline]
    pub(super) fn copy(self, place: Place, buffer: &mut [u8]) -> bool {
        if place.length > buffer.len() {
            return false;
        }
        // SAFETY: `front` found the body before the end of the ring, and it fits the buffer.
        // Senders do not write what is committed; should a damaged one, the copy is noise.
        unsafe {
            let from = self.at(place.position).add(HEADER).as_ptr();
            std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), place.length);
        }
        true
    }

    /// Takes the first record.
    #[inline]
    pub(super) fn take(self, place: Place) {
        let whole = (HEADER + place.length).next_multiple_of(8) as u64;
        let head = place.position.wrapping_add(whole);
        // Release: our reads come before the overwriting.
        self.words.receive.0.position.store(head, Ordering::Release);
        if head / SHARE != place.position / SHARE {
            self.tell_of_room();
        }
    }

    /// Wakes the senders that wait for room.
    pub(super) fn tell_of_room(self) {
        // There are no watchers.
        let _ = self.room().ring(Loudness::Quiet);
    }
}
