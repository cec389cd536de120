//! Segments: where records lie, one behind the other.
//!
//! ```text
//! 0        64
//! │ next   │ record │ record │ … │ END │          64 KiB to 1 MiB
//!
//! record:  │ length u32 │ tag u32 │ bytes, up to a multiple of 8 │
//!          │ LARGE      │ tag u32 │ unit u64 │ length u64        │   the item is in a block
//!          │ END        │                                          the next segment goes on
//! ```
//!
//! A position is checked wherever it comes from, so that damaged memory leads to an error: a cursor
//! lies within a segment, a segment within a window.

use std::ptr::NonNull;

use crate::channel::queue::error::Fault;
use crate::channel::queue::layout::{UNIT, WINDOW};
use crate::channel::queue::memory::Memory;
use crate::channel::queue::position::{Position, START};
use crate::sync::atomic::{AtomicU64, Ordering};

const HEADER: usize = 8;
const LARGE_BODY: usize = 16;
const END: u32 = u32::MAX;
const LARGE: u32 = u32::MAX - 1;
/// Segments have up to this power of two of units.
pub(super) const LARGEST: u32 = 4;

/// A checked position, mapped.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    segment: NonNull<u8>,
    position: Position,
    offset: usize,
    length: usize,
}

/// A record as found.
pub(super) enum Record {
    Inline { tag: u32, at: usize, length: usize },
    Large { tag: u32, unit: u64, length: u64 },
    End,
}

impl Cursor {
    /// The cursor at `position`.
    #[inline]
    pub(super) fn at(memory: &Memory, position: Position) -> Result<Self, Fault> {
        let (order, offset) = (position.order(), position.offset());
        if order > LARGEST {
            return Err(Fault::Corrupt);
        }
        let units = 1 << order;
        let length = units * UNIT;
        if offset < START || offset + HEADER > length || !offset.is_multiple_of(8) {
            return Err(Fault::Corrupt);
        }
        debug_assert!(units <= WINDOW);
        let segment = memory.in_window(position.unit(), units)?.ok_or(Fault::Corrupt)?;
        Ok(Self { segment, position, offset, length })
    }

    /// Where it stands.
    #[inline]
    pub(super) fn position(&self) -> Position {
        self.position.at(self.offset)
    }

    /// Whether a record with `body` bytes, and an END behind it, fit here.
    #[inline]
    pub(super) fn fits(&self, body: usize) -> bool {
        self.offset + HEADER + body.next_multiple_of(8) + HEADER <= self.length
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset + 8 <= self.length && offset.is_multiple_of(8));
        // SAFETY: within the segment, which is mapped as long as the queue is; aligned, since
        // offsets are multiples of 8 and segments begin at units.
        unsafe { self.segment.add(offset).cast::<AtomicU64>().as_ref() }
    }

    // Relaxed: everything in a segment is published by the commit, or guarded by the side.

    /// Writes a record that [fits](Self::fits), and goes behind it.
    #[inline]
    pub(super) fn write(&mut self, tag: u32, length: usize, fill: impl FnOnce(&mut [u8])) {
        debug_assert!(self.fits(length));
        let header = length as u64 | u64::from(tag) << 32;
        self.word(self.offset).store(header, Ordering::Relaxed);
        // SAFETY: it fits; no reader goes behind the last commit, and the caller has the guard of
        // the side that writes.
        fill(unsafe {
            let start = self.segment.as_ptr().add(self.offset + HEADER);
            std::slice::from_raw_parts_mut(start, length)
        });
        self.offset += HEADER + length.next_multiple_of(8);
    }

    /// Writes the record of an item that is in a block; it must fit.
    pub(super) fn write_large(&mut self, tag: u32, unit: usize, length: usize) {
        debug_assert!(self.fits(LARGE_BODY));
        let header = u64::from(LARGE) | u64::from(tag) << 32;
        self.word(self.offset).store(header, Ordering::Relaxed);
        self.word(self.offset + 8).store(unit as u64, Ordering::Relaxed);
        self.word(self.offset + 16).store(length as u64, Ordering::Relaxed);
        self.offset += HEADER + LARGE_BODY;
    }

    /// Ends the segment: `next` goes on.
    pub(super) fn end(&self, next: Position) {
        self.word(0).store(next.raw(), Ordering::Relaxed);
        self.word(self.offset).store(u64::from(END), Ordering::Relaxed);
    }

    /// The record here. It is within the segment.
    #[inline]
    pub(super) fn record(&self) -> Result<Record, Fault> {
        let word = self.word(self.offset).load(Ordering::Relaxed);
        let (length, tag) = (word as u32, (word >> 32) as u32);
        let at = self.offset + HEADER;
        match length {
            END => Ok(Record::End),
            LARGE if self.fits(LARGE_BODY) => {
                let field = |n: usize| self.word(at + 8 * n).load(Ordering::Relaxed);
                Ok(Record::Large { tag, unit: field(0), length: field(1) })
            }
            inline if self.fits(inline as usize) => {
                Ok(Record::Inline { tag, at, length: inline as usize })
            }
            _ => Err(Fault::Corrupt),
        }
    }

    /// The bytes of an inline record that was found here, for as long as the caller has the guard
    /// of the side that reads.
    #[inline]
    pub(super) fn bytes(&self, at: usize, length: usize) -> &[u8] {
        debug_assert!(at + length <= self.length);
        // SAFETY: `record` checked that they lie within the segment, and the caller has the guard
        // of the side that reads, so they are not written.
        unsafe { std::slice::from_raw_parts(self.segment.as_ptr().add(at), length) }
    }

    /// Goes behind the record that was found here.
    #[inline]
    pub(super) fn skip(&mut self, record: &Record) {
        self.offset += HEADER
            + match record {
                Record::Inline { length, .. } => length.next_multiple_of(8),
                Record::Large { .. } => LARGE_BODY,
                Record::End => 0,
            };
    }

    /// The beginning of the first segment, as noted in the control page.
    pub(super) fn first(memory: &Memory, position: u64) -> Result<Self, Fault> {
        let first = Self::at(memory, Position::from_raw(position))?;
        if first.offset == START { Ok(first) } else { Err(Fault::Corrupt) }
    }

    /// The beginning of the segment behind this one.
    pub(super) fn following(&self, memory: &Memory) -> Result<Self, Fault> {
        Self::first(memory, self.next().raw())
    }

    /// Where the segment behind this one begins.
    pub(super) fn next(&self) -> Position {
        Position::from_raw(self.word(0).load(Ordering::Relaxed))
    }
}

/// How many bytes the record of a large item has beside its header.
pub(super) const fn large_body() -> usize {
    LARGE_BODY
}
