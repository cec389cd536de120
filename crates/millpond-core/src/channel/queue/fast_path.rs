//! The fast path of `put` and `get`: one small item, without waiting.
//!
//! Both steps are those of [`put`](super::put) and [`get`](super::get), for one record that needs
//! no new segment, no block and no repair. In all other cases (a held guard, also one of a dead
//! process; no room, no item; an end) nothing is changed, and the caller takes the slow path.
//!
//! The row `queue_ints` needs it: without it a number takes an eighth more CPU time.

use crate::channel::payload::INLINE_LIMIT;
use crate::channel::queue::Queue;
use crate::channel::queue::control::NO_CONSUMERS;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::segment::{Cursor, Record};
use crate::channel::queue::side::{SideGuard, Snapshot};
use crate::crash::crash_point;

impl Queue {
    /// Puts an item of `length` bytes, which `fill` writes, if that needs nothing but writing it.
    ///
    /// `false` if it needs more, or cannot be done: nothing was put then, and [`put`](Self::put)
    /// does it or says why not. `fill` runs while others wait. It must do nothing but write.
    #[inline]
    pub fn put_at_once(&self, tag: u32, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let memory = &*self.memory;
        let control = memory.control();
        if length > INLINE_LIMIT {
            return false;
        }
        let Some(guard) = control.put.enter_at_once() else {
            return false;
        };
        if control.is_closed(NO_CONSUMERS) {
            return false;
        }
        crash_point!("queue: entered to put");
        let snapshot = guard.snapshot();
        if let Some(capacity) = control.capacity() {
            let is_full = |taken: u64| snapshot.count.saturating_sub(taken) >= capacity;
            if is_full(guard.seen()) && is_full(guard.look(&control.get)) {
                return false;
            }
        }
        let Ok(mut cursor) = Cursor::at(memory, snapshot.position) else {
            return false;
        };
        if !cursor.fits(length) {
            return false;
        }
        cursor.write(tag, length, fill);
        crash_point!("queue: record is written");
        guard.commit(snapshot.count + 1, cursor.position());
        control.not_empty.committed_in(guard, 1);
        self.committed_for_watchers();
        true
    }

    /// Takes a small item, and returns what `read` makes of its tag and its bytes, if it is there,
    /// has at most so many bytes, and taking it needs nothing but reading it.
    ///
    /// `None` if it needs more, or cannot be done: nothing was taken then, and [`get`](Self::get)
    /// does it or says why not. `read` runs while others wait. It must do nothing but copy.
    #[inline]
    pub fn get_at_once<R>(&self, most: usize, read: impl FnOnce(u32, &[u8]) -> R) -> Option<R> {
        let memory = &*self.memory;
        let control = memory.control();
        let (get, snapshot) = memory.enter_where_items_are()?;
        crash_point!("queue: entered to get");
        let mut cursor = Cursor::at(memory, snapshot.position).ok()?;
        let record = cursor.record().ok()?;
        let (tag, at, length) = match record {
            Record::Inline { tag, at, length } if length <= most => (tag, at, length),
            _ => return None,
        };
        let place = memory.place_for_tasks(&get).ok()?;
        let read = read(tag, cursor.bytes(at, length));
        cursor.skip(&record);
        crash_point!("queue: items are copied");
        get.commit(snapshot.count + 1, cursor.position());
        memory.note_taken(&get, place, 1);
        if control.capacity().is_some() {
            control.not_full.committed_in(get, 1);
        } else {
            drop(get);
        }
        self.committed_for_watchers();
        Some(read)
    }
}

impl Memory {
    /// Enters the get side if its guard is free and there is an item.
    #[inline]
    fn enter_where_items_are(&self) -> Option<(SideGuard<'_>, Snapshot)> {
        let control = self.control();
        let get = control.get.enter_at_once()?;
        let snapshot = get.snapshot();
        let is_there = get.seen() > snapshot.count || get.look(&control.put) > snapshot.count;
        is_there.then_some((get, snapshot))
    }
}
