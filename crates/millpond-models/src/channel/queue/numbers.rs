//! A queue of a few numbers.

use loom::cell::UnsafeCell;

use crate::channel::queue::position::Position;
use crate::channel::queue::side::{Side, SideGuard, Snapshot};
use crate::channel::queue::waiters::Waiters;
use crate::sync::deadline::Deadline;

/// As many numbers as any model puts.
const CELLS: usize = 4;

/// A queue; each of its cells is used once.
#[derive(Debug, Default)]
pub struct Numbers {
    put: Side,
    get: Side,
    not_empty: Waiters,
    cells: [UnsafeCell<u32>; CELLS],
}

// SAFETY: loom checks that the sides order the accesses.
unsafe impl Sync for Numbers {}
// SAFETY: as above.
unsafe impl Send for Numbers {}

/// Where a side stands, count and position being of one commit.
fn snapshot(guard: &SideGuard<'_>) -> Snapshot {
    let snapshot = guard.snapshot();
    assert_eq!(snapshot.position.raw(), snapshot.count, "half of a commit");
    snapshot
}

fn entered(side: &Side) -> SideGuard<'_> {
    let Ok(guard) = side.enter(None) else {
        unreachable!("a model has no signals");
    };
    guard
}

fn commit(guard: &SideGuard<'_>, count: u64) {
    guard.commit(count, Position::from_raw(count));
}

impl Numbers {
    /// Puts numbers, in one commit.
    pub fn put(&self, numbers: &[u32]) {
        let guard = entered(&self.put);
        let mut count = snapshot(&guard).count;
        for number in numbers {
            // SAFETY: the guard is held, and no reader reads beyond the count.
            self.cells[count as usize].with_mut(|cell| unsafe { *cell = *number });
            count += 1;
        }
        commit(&guard, count);
        self.not_empty.committed_in(guard, numbers.len() as u32);
    }

    /// Takes a number if there is one.
    pub fn try_take(&self) -> Option<u32> {
        let guard = entered(&self.get);
        let count = snapshot(&guard).count;
        if guard.seen() <= count && guard.look(&self.put) <= count {
            return None;
        }
        // SAFETY: the number was committed, and its cell is not written again.
        let number = self.cells[count as usize].with(|cell| unsafe { *cell });
        commit(&guard, count + 1);
        Some(number)
    }

    fn length(&self) -> u64 {
        self.put.count().saturating_sub(self.get.count())
    }

    /// Waits for a number and takes it.
    pub fn take(&self) -> u32 {
        let (mut wait, mut slept) = (Deadline::new(None), false);
        loop {
            if let Some(number) = self.try_take() {
                if slept && self.length() > 0 {
                    self.not_empty.committed(1);
                }
                return number;
            }
            let prepared = self.not_empty.prepare_wait();
            if self.length() == 0 {
                prepared.sleep(&mut wait);
                slept = true;
            }
        }
    }
}
