//! Threads of a process, told apart.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that no other thread of this process has or had. A forked child's thread goes on with
/// the number of the one that forked, so it only means something together with a
/// [`ProcessId`](crate::os::identity::ProcessId).
#[must_use]
#[inline]
pub fn thread_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    NUMBER.with(|number| match number.get() {
        0 => {
            // Relaxed: the number stands for itself.
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
            number.get()
        }
        known => known,
    })
}
