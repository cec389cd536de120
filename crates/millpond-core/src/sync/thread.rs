//! Threads of a process, told apart.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::identity::ProcessId;

/// How many bits [`thread_number`] has in a [`thread_id`].
const NUMBER_BITS: u32 = 40;

/// What an owner leaves in a lock beside its process' name: this thread, told from those of other
/// processes too. A dead owner's thread id stays until the next owner writes its own; were it a mere
/// number, a thread of the next owner's process that has the same could take itself for the owner.
#[must_use]
#[inline]
pub fn thread_id(me: ProcessId) -> u64 {
    // Pids have 22 bits, and a process does not live to see 2⁴⁰ threads.
    u64::from(me.pid()) << NUMBER_BITS | thread_number()
}

/// Whether a [`thread_id`] is that of a thread of this process.
#[must_use]
pub fn is_of(thread_id: u64, process: ProcessId) -> bool {
    thread_id >> NUMBER_BITS == u64::from(process.pid())
}

/// A number that no other thread of this process has or had. A forked child's thread goes on with
/// the number of the one that forked, so it only means something together with a [`ProcessId`].
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
