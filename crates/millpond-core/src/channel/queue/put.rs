//! Putting: outside of the guard what takes time, under it what others must not see half done.

use std::fmt;
use std::time::Instant;

use crate::channel::payload::{INLINE_LIMIT, Parts};
use crate::channel::queue::Queue;
use crate::channel::queue::control::NO_CONSUMERS;
use crate::channel::queue::ends::End;
use crate::channel::queue::error::{Fault, PutError};
use crate::channel::queue::layout::Holding;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::position::Position;
use crate::channel::queue::segment::{Cursor, LARGEST, large_body};
use crate::channel::queue::side::{NotEntered, SideGuard, Snapshot};
use crate::crash::crash_point;
use crate::shm::lease::Lease;
use crate::sync::atomic::Ordering;
use crate::sync::deadline::{After, Deadline};
use crate::sync::spin::with_thread_spin;

/// Items to be put at once, wherever they are.
///
/// ```
/// use millpond_core::channel::queue::{Options, OutgoingItems, Queue};
///
/// struct Words(&'static [&'static str]);
///
/// impl OutgoingItems for Words {
///     fn count(&self) -> usize {
///         self.0.len()
///     }
///
///     fn tag(&self, _: usize) -> u32 {
///         0
///     }
///
///     fn length(&self, index: usize) -> usize {
///         self.0[index].len()
///     }
///
///     fn write(&self, index: usize, out: &mut [u8]) {
///         out.copy_from_slice(self.0[index].as_bytes());
///     }
/// }
///
/// let queue = Queue::create(Options::default())?;
/// queue.put_many(&Words(&["so", "many", "words"]), None)?;
/// let (mut buffer, mut items) = (Vec::new(), Vec::new());
/// assert_eq!(queue.get_many(10, &mut buffer, &mut items, None)?, 3);
/// assert_eq!(&buffer[items[1].bytes.clone()], b"many");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait OutgoingItems {
    /// How many there are.
    fn count(&self) -> usize;

    /// What the receiver gets beside the bytes of an item.
    fn tag(&self, index: usize) -> u32;

    /// How many bytes an item has.
    fn length(&self, index: usize) -> usize;

    /// Writes an item to `out`, which is as long as it. It must not touch the queue.
    fn write(&self, index: usize, out: &mut [u8]);
}

/// One item.
struct One<'a> {
    tag: u32,
    parts: Parts<'a>,
    length: usize,
}

impl OutgoingItems for One<'_> {
    fn count(&self) -> usize {
        1
    }

    fn tag(&self, _: usize) -> u32 {
        self.tag
    }

    fn length(&self, _: usize) -> usize {
        self.length
    }

    fn write(&self, _: usize, out: &mut [u8]) {
        self.parts.encode(out);
    }
}

/// Why not all items were put, and how many were.
#[derive(Debug)]
pub struct PutManyError {
    /// Items from the first on that are in the queue.
    pub put: usize,
    /// Why the next one is not.
    pub reason: PutError,
}

impl fmt::Display for PutManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} items)", self.reason, self.put)
    }
}

impl std::error::Error for PutManyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Large items in their blocks, with their indices, in order.
type StagedBlocks = Vec<(usize, Lease)>;

impl Queue {
    /// Puts an item. A bounded queue that is full makes the caller wait until `deadline`, for ever
    /// without one.
    ///
    /// When this returns the item is in shared memory: its consumer needs nothing more from this
    /// process.
    ///
    /// # Errors
    /// [`PutError`]; nothing was put then.
    pub fn put(
        &self,
        tag: u32,
        parts: Parts<'_>,
        deadline: Option<Instant>,
    ) -> Result<(), PutError> {
        let length = parts.encoded_length();
        if self.put_at_once(tag, length, |out| parts.encode(out)) {
            return Ok(());
        }
        self.put_many(&One { tag, parts, length }, deadline).map_err(|error| error.reason)
    }

    /// Puts an item if there is room now and no other producer is in the way.
    ///
    /// # Errors
    /// [`PutError`]; nothing was put then.
    pub fn try_put(&self, tag: u32, parts: Parts<'_>) -> Result<(), PutError> {
        self.put(tag, parts, Some(Instant::now()))
    }

    /// Puts items, as many at a time as there is room for. Items that are put at a time become
    /// visible at once, and no other producer's items come between.
    ///
    /// # Errors
    /// [`PutManyError`], which says how many were put.
    pub fn put_many(
        &self,
        items: &impl OutgoingItems,
        deadline: Option<Instant>,
    ) -> Result<(), PutManyError> {
        let mut put = 0;
        match self.put_from(items, &mut put, deadline) {
            Ok(()) => Ok(()),
            Err(reason) => Err(PutManyError { put, reason }),
        }
    }

    fn put_from(
        &self,
        items: &impl OutgoingItems,
        put: &mut usize,
        deadline: Option<Instant>,
    ) -> Result<(), PutError> {
        self.put_in_turn(items, put, deadline).inspect_err(|_| self.pass_room_on())
    }

    /// Says that the caller, which may have been woken for it, does not use the room that there is.
    pub fn pass_room_on(&self) {
        let control = self.memory.control();
        if control.capacity().is_some() && self.has_room() {
            control.not_full.committed(1);
        }
    }

    fn put_in_turn(
        &self,
        items: &impl OutgoingItems,
        put: &mut usize,
        deadline: Option<Instant>,
    ) -> Result<(), PutError> {
        let control = self.memory.control();
        if control.capacity().is_some() && !self.has_room() {
            // Before anything is copied.
            self.wait_for_room(deadline)?;
        }
        let mut staged = self.stage(items, deadline)?;
        while *put < items.count() {
            match self.append(items, *put, &mut staged, deadline) {
                Ok(0) => self.wait_for_room(deadline)?,
                Ok(n) => *put += n,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what is large to blocks.
    fn stage(
        &self,
        items: &impl OutgoingItems,
        deadline: Option<Instant>,
    ) -> Result<StagedBlocks, PutError> {
        let mut staged = Vec::new();
        for index in 0..items.count() {
            let length = items.length(index);
            if length > INLINE_LIMIT {
                self.memory.close_if_deserted_lately(End::Consumers);
                if self.memory.control().is_closed(NO_CONSUMERS) {
                    return Err(PutError::Closed);
                }
                let mut block = self.memory.new_block(length, deadline)?;
                items.write(index, block.bytes_mut());
                crash_point!("queue: block is filled");
                staged.push((index, block));
            }
        }
        Ok(staged)
    }

    /// Puts as many items from `from` on as there is room for, in one commit; how many.
    fn append(
        &self,
        items: &impl OutgoingItems,
        from: usize,
        staged: &mut StagedBlocks,
        deadline: Option<Instant>,
    ) -> Result<usize, PutError> {
        let memory = &*self.memory;
        let control = memory.control();
        let guard = self.enter_put(deadline)?;
        if control.is_closed(NO_CONSUMERS) {
            return Err(PutError::Closed);
        }
        crash_point!("queue: entered to put");
        let snapshot = guard.snapshot();
        let n = match control.capacity() {
            None => items.count() - from,
            Some(capacity) => {
                let wanted = items.count() - from;
                let room = |taken: u64| {
                    let room = capacity.saturating_sub(snapshot.count.saturating_sub(taken));
                    usize::try_from(room).unwrap_or(usize::MAX)
                };
                let known = room(guard.seen());
                wanted.min(if known < wanted { room(guard.look(&control.get)) } else { known })
            }
        };
        if n == 0 {
            return Ok(0);
        }
        let written =
            memory.write_records(&guard, snapshot, items, from..from + n, staged, deadline);
        let position = written.inspect_err(|_| memory.sweep_put(&guard))?;
        let large = staged.partition_point(|(index, _)| *index < from + n);
        for (index, block) in &staged[..large] {
            let item = snapshot.count + (index - from) as u64;
            memory.map()[block.block()].hold(Holding::Queued(item));
            crash_point!("queue: block is queued");
        }
        guard.commit(snapshot.count + n as u64, position);
        staged.drain(..large).for_each(|(_, mut block)| block.hold(false));
        control.not_empty.committed_in(guard, u32::try_from(n).unwrap_or(u32::MAX));
        self.committed_for_watchers();
        Ok(n)
    }

    fn has_room(&self) -> bool {
        let control = self.memory.control();
        control.capacity().is_none_or(|capacity| control.length() < capacity)
            || control.is_closed(NO_CONSUMERS)
    }

    /// Waits until a bounded queue has room and its guard is free; another producer may be faster
    /// to take the room.
    ///
    /// # Errors
    /// [`PutError::Full`] or [`PutError::Busy`] if that is not so at the deadline, or
    /// [`PutError::Interrupted`].
    #[cold]
    pub fn wait_to_put(&self, deadline: Option<Instant>) -> Result<(), PutError> {
        self.wait_for_room(deadline)?;
        drop(self.enter_put(deadline)?);
        // Memory may be what was wanting.
        Ok(self.memory.heap().enter(deadline).map(drop)?)
    }

    fn enter_put(&self, deadline: Option<Instant>) -> Result<SideGuard<'_>, PutError> {
        let guard = self.memory.control().put.enter(deadline).map_err(|not| match not {
            NotEntered::TimedOut if !self.has_room() => PutError::Full,
            NotEntered::TimedOut => PutError::Busy,
            NotEntered::Interrupted => PutError::Interrupted,
        })?;
        if guard.died {
            self.memory.sweep_put(&guard);
        }
        Ok(guard)
    }

    /// Waits until a bounded queue has room.
    #[cold]
    fn wait_for_room(&self, deadline: Option<Instant>) -> Result<(), PutError> {
        let control = self.memory.control();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return if self.has_room() { Ok(()) } else { Err(PutError::Full) };
        }
        let mut wait = Deadline::new(deadline);
        with_thread_spin(|spin| {
            loop {
                if spin.until(|| self.has_room()) {
                    return Ok(());
                }
                let prepared = control.not_full.prepare_wait();
                if self.has_room() {
                    return Ok(());
                }
                match prepared.sleep(&mut wait) {
                    After::Look => {}
                    After::LookForDead => {
                        self.memory.close_if_deserted(End::Consumers);
                        self.memory.sweep_if_due();
                    }
                    After::GiveUp if self.has_room() => return Ok(()),
                    After::GiveUp => return Err(PutError::Full),
                    After::Interrupted => return Err(PutError::Interrupted),
                }
            }
        })
    }
}

impl Memory {
    /// Writes the records of items behind what is committed; where that ends.
    #[inline]
    fn write_records(
        &self,
        guard: &SideGuard<'_>,
        snapshot: Snapshot,
        items: &impl OutgoingItems,
        range: std::ops::Range<usize>,
        staged: &StagedBlocks,
        deadline: Option<Instant>,
    ) -> Result<Position, Fault> {
        let mut cursor = match snapshot.position {
            none if none.is_none() => None,
            position => Some(Cursor::at(self, position)?),
        };
        let mut staged = staged.iter().peekable();
        let first = range.start;
        for index in range {
            let large = staged.next_if(|(large, _)| *large == index);
            let length = items.length(index);
            let body = if large.is_some() { large_body() } else { length };
            let mut at = match cursor {
                Some(cursor) if cursor.fits(body) => cursor,
                full => {
                    let item = snapshot.count + (index - first) as u64;
                    self.new_segment(guard, full, item, deadline)?
                }
            };
            match large {
                Some((_, block)) => at.write_large(items.tag(index), block.block(), length),
                None => at.write(items.tag(index), length, |out| items.write(index, out)),
            }
            crash_point!("queue: record is written");
            cursor = Some(at);
        }
        cursor.map(|cursor| cursor.position()).ok_or(Fault::Corrupt)
    }

    /// A segment behind `full`, or the first one, which begins with item number `item`.
    #[cold]
    fn new_segment(
        &self,
        _guard: &SideGuard<'_>,
        full: Option<Cursor>,
        item: u64,
        deadline: Option<Instant>,
    ) -> Result<Cursor, Fault> {
        let order = match full {
            // Consumers that keep up need little, and that stays in the cache.
            Some(full) if !self.control().get.glance().is_in(full.position().unit()) => {
                (full.position().order() + 1).min(LARGEST)
            }
            _ => 0,
        };
        // A producer that never waits for room notices only here that no consumer is left.
        self.close_if_deserted(End::Consumers);
        let unit = self.heap().allocate(1 << order, Holding::Segment(item), deadline)?;
        crash_point!("queue: segment is allocated");
        let next = Position::start_of(unit, order);
        let cursor = Cursor::at(self, next)?;
        match full {
            Some(full) => full.end(next),
            // Relaxed: published by the commit.
            None => self.control().first.store(next.raw(), Ordering::Relaxed),
        }
        crash_point!("queue: segment is linked");
        Ok(cursor)
    }
}
