//! Taking: small items are copied out under the guard, large ones change hands.

use std::ops::Range;
use std::time::Instant;

use crate::channel::payload::INLINE_LIMIT;
use crate::channel::queue::Queue;
use crate::channel::queue::control::NO_PRODUCERS;
use crate::channel::queue::ends::End;
use crate::channel::queue::error::{Fault, GetError};
use crate::channel::queue::layout::Holding;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::position::Position;
use crate::channel::queue::segment::{Cursor, Record};
use crate::channel::queue::side::{NotEntered, SideGuard, Snapshot};
use crate::crash::crash_point;
use crate::shm::lease::Lease;
use crate::sync::atomic::Ordering;
use crate::sync::deadline::{After, Deadline};
use crate::sync::spin::with_thread_spin;

/// How many bytes are copied while others wait for the guard, before it is given back.
const AT_ONCE: usize = 1 << 20;

/// An item that was taken.
#[derive(Debug)]
pub struct ReceivedItem {
    /// What its producer put beside the bytes.
    pub tag: u32,
    /// The bytes, if they were small: this part of the caller's buffer.
    pub bytes: Range<usize>,
    /// The bytes in shared memory, if there were many.
    pub block: Option<Lease>,
}

/// Where items go that are being taken.
trait Sink {
    fn push(&mut self, item: ReceivedItem);
    /// The blocks among the items, once they are taken.
    fn blocks(&mut self) -> impl Iterator<Item = &mut Lease>;
}

impl Sink for Option<ReceivedItem> {
    fn push(&mut self, item: ReceivedItem) {
        *self = Some(item);
    }

    fn blocks(&mut self) -> impl Iterator<Item = &mut Lease> {
        self.iter_mut().filter_map(|item| item.block.as_mut())
    }
}

impl Sink for Vec<ReceivedItem> {
    fn push(&mut self, item: ReceivedItem) {
        Vec::push(self, item);
    }

    fn blocks(&mut self) -> impl Iterator<Item = &mut Lease> {
        self.iter_mut().filter_map(|item| item.block.as_mut())
    }
}

impl Queue {
    /// Takes an item, for which the caller waits until `deadline`, for ever without one. Its bytes
    /// replace what is in `buffer` unless they come in a block.
    ///
    /// # Errors
    /// [`GetError`]; nothing was taken then.
    pub fn get(
        &self,
        buffer: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<ReceivedItem, GetError> {
        buffer.clear();
        let copy = |tag, bytes: &[u8]| {
            buffer.extend_from_slice(bytes);
            ReceivedItem { tag, bytes: 0..bytes.len(), block: None }
        };
        if let Some(received) = self.get_at_once(INLINE_LIMIT, copy) {
            return Ok(received);
        }
        let mut item = None;
        self.take_or_wait(1, buffer, &mut item, deadline)?;
        item.ok_or(GetError::Empty)
    }

    /// Takes an item if there is one now and no other consumer is in the way.
    ///
    /// # Errors
    /// [`GetError`]; nothing was taken then.
    pub fn try_get(&self, buffer: &mut Vec<u8>) -> Result<ReceivedItem, GetError> {
        // In the past, whatever the time.
        self.get(buffer, Some(Instant::now()))
    }

    /// Takes up to `most` items, at least one; waits for the first one as [`get`](Self::get) does.
    /// Adds the items to `items`, and the bytes of small ones to `buffer`.
    ///
    /// It takes fewer than there are when they are many bytes.
    ///
    /// # Errors
    /// [`GetError`]; nothing was taken then.
    pub fn get_many(
        &self,
        most: usize,
        buffer: &mut Vec<u8>,
        items: &mut Vec<ReceivedItem>,
        deadline: Option<Instant>,
    ) -> Result<usize, GetError> {
        let before = items.len();
        if most > 0 {
            let taken = self.take_or_wait(most, buffer, items, deadline);
            taken.inspect_err(|_| items.truncate(before))?;
        }
        Ok(items.len() - before)
    }

    #[inline]
    fn take_or_wait(
        &self,
        most: usize,
        buffer: &mut Vec<u8>,
        sink: &mut impl Sink,
        deadline: Option<Instant>,
    ) -> Result<(), GetError> {
        match self.take(most, buffer, sink, deadline) {
            Err(GetError::Empty) => self.wait_and_take(most, buffer, sink, deadline),
            taken => taken,
        }
    }

    #[cold]
    fn wait_and_take(
        &self,
        most: usize,
        buffer: &mut Vec<u8>,
        sink: &mut impl Sink,
        deadline: Option<Instant>,
    ) -> Result<(), GetError> {
        let control = self.memory.control();
        let mut wait = Deadline::new(deadline);
        let mut slept = false;
        loop {
            if control.is_closed(NO_PRODUCERS) {
                // What was put before the end closed is visible by now.
                return match self.take(most, buffer, sink, deadline) {
                    Err(GetError::Empty) => Err(GetError::Closed),
                    taken => taken,
                };
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.take(most, buffer, sink, deadline);
            }
            if !slept && self.memory.batching.await_for_a_moment(|| control.length()) {
                match self.take(most, buffer, sink, deadline) {
                    Err(GetError::Empty) => continue,
                    taken => return taken,
                }
            }
            // Spinning over, the guard is taken outside of it: it has a spin of its own.
            let found = with_thread_spin(|spin| {
                if spin.until(|| control.length() > 0) {
                    return None;
                }
                let prepared = control.not_empty.prepare_wait();
                if control.length() > 0 || control.is_closed(NO_PRODUCERS) {
                    return None;
                }
                Some(prepared.sleep(&mut wait))
            });
            match found {
                None => {}
                Some(After::Look) => slept = true,
                Some(After::LookForDead) => {
                    // It may have been woken for an item, too.
                    slept = true;
                    self.memory.close_if_deserted(End::Producers);
                    self.memory.sweep_if_due();
                }
                Some(After::GiveUp) => return self.take(most, buffer, sink, deadline),
                Some(After::Interrupted) => return Err(GetError::Interrupted),
            }
            match self.take(most, buffer, sink, deadline) {
                Err(GetError::Empty) => {}
                taken => {
                    if slept && control.length() > 0 {
                        // Another consumer that was woken may be dead; see `waiters`.
                        control.not_empty.committed(1);
                    }
                    return taken;
                }
            }
        }
    }

    /// Takes what is there now, in one commit.
    #[inline]
    fn take(
        &self,
        most: usize,
        buffer: &mut Vec<u8>,
        sink: &mut impl Sink,
        deadline: Option<Instant>,
    ) -> Result<(), GetError> {
        let memory = &*self.memory;
        let control = memory.control();
        let get = memory.enter_get(deadline).map_err(|not| match not {
            NotEntered::TimedOut if control.length() == 0 => GetError::Empty,
            NotEntered::TimedOut => GetError::Busy,
            NotEntered::Interrupted => GetError::Interrupted,
        })?;
        let snapshot = get.snapshot();
        let mut available = get.seen().saturating_sub(snapshot.count);
        if available == 0 {
            available = get.look(&control.put).saturating_sub(snapshot.count);
        }
        if available == 0 {
            return Err(GetError::Empty);
        }
        crash_point!("queue: entered to get");
        let most = usize::try_from(available).map_or(most, |available| available.min(most));
        let place = memory.place_for_tasks(&get).map_err(Fault::from)?;
        let before = buffer.len();
        let (n, position) = self.read_records(snapshot, most, buffer, sink).inspect_err(|_| {
            buffer.truncate(before);
        })?;
        crash_point!("queue: items are copied");
        get.commit(snapshot.count + u64::from(n), position);
        for block in sink.blocks() {
            memory.take_block(block);
            crash_point!("queue: block is taken");
        }
        memory.note_taken(&get, place, n);
        if position.unit() != snapshot.position.unit() {
            memory.free_segments(&get, snapshot.position, position);
        }
        if control.capacity().is_some() {
            control.not_full.committed_in(get, n);
        } else {
            drop(get);
        }
        self.committed_for_watchers();
        Ok(())
    }

    /// Reads up to `most` records, which are committed; how many, and where that ends.
    #[inline]
    fn read_records(
        &self,
        snapshot: Snapshot,
        most: usize,
        buffer: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> Result<(u32, Position), Fault> {
        let memory = &self.memory;
        let mut cursor = match snapshot.position {
            none if none.is_none() => {
                // Relaxed: published by the first commit.
                Cursor::first(memory, memory.control().first.load(Ordering::Relaxed))?
            }
            position => Cursor::at(memory, position)?,
        };
        let begin = buffer.len();
        let mut n = 0;
        while (n as usize) < most && buffer.len() - begin <= AT_ONCE && n < u32::MAX {
            let mut record = cursor.record()?;
            if matches!(record, Record::End) {
                cursor = cursor.following(memory)?;
                record = cursor.record()?;
            }
            let received = match record {
                Record::Inline { tag, at, length } => {
                    let start = buffer.len();
                    buffer.extend_from_slice(cursor.bytes(at, length));
                    ReceivedItem { tag, bytes: start..buffer.len(), block: None }
                }
                Record::Large { tag, unit, length } => {
                    let item = snapshot.count + u64::from(n);
                    match memory.find_block(unit, length, item) {
                        // It stays, and the next call tells why.
                        Err(Fault::NoMemory(_)) if n > 0 => break,
                        block => ReceivedItem { tag, bytes: 0..0, block: Some(block?) },
                    }
                }
                // No segment begins with its end.
                Record::End => return Err(Fault::Corrupt),
            };
            sink.push(received);
            cursor.skip(&record);
            n += 1;
        }
        Ok((n, cursor.position()))
    }
}

impl Memory {
    #[inline]
    pub(super) fn enter_get(&self, deadline: Option<Instant>) -> Result<SideGuard<'_>, NotEntered> {
        let get = self.control().get.enter(deadline)?;
        if get.died {
            self.after_death(&get);
        }
        Ok(get)
    }

    #[cold]
    fn after_death(&self, get: &SideGuard<'_>) {
        self.sweep_get(get);
        self.settle_tasks(get);
    }

    /// Frees the segments from `from` on that are read, up to the one that `to` is in.
    #[cold]
    fn free_segments(&self, _get: &SideGuard<'_>, from: Position, to: Position) {
        let mut at = from;
        while !at.is_none() && !to.is_in(at.unit()) {
            let Ok(cursor) = Cursor::at(self, at) else {
                return;
            };
            let next = cursor.next();
            let is_segment = matches!(self.map()[at.unit()].holding(), Holding::Segment(_));
            if !is_segment {
                return;
            }
            crash_point!("queue: segment is about to be freed");
            self.heap().free(at.unit());
            at = next;
        }
    }
}
