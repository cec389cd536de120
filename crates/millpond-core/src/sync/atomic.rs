//! The atomics and the futex of which the primitives consist. All primitives take them from this
//! module, so that `millpond-models` can compile the same source with model types instead.

use std::sync::atomic::compiler_fence;
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

/// Atomics that lie over bytes which both sides of a channel lay out: models keep their layout.
pub mod in_place {
    pub use std::sync::atomic::{AtomicU32, AtomicU64};
}

use crate::os::futex::{self, Woken};

/// `fence(SeqCst)` for a caller whose last access was an exchange of an atomic.
///
/// On x86-64 every exchange is such a fence already, whatever its ordering says: then only the
/// compiler has to be held back. That saves a third of what a commit of a queue costs.
#[inline]
pub(crate) fn fence_behind_exchange() {
    // Miri checks orderings by their names, so it must see a real fence.
    if cfg!(all(target_arch = "x86_64", not(miri))) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// A word on which threads can sleep.
pub(crate) trait Futex {
    /// What the kernel compares.
    fn futex(&self) -> &AtomicU32;
}

impl Futex for AtomicU32 {
    fn futex(&self) -> &AtomicU32 {
        self
    }
}

/// The low half, which comes first in memory.
impl Futex for AtomicU64 {
    fn futex(&self) -> &AtomicU32 {
        const { assert!(cfg!(target_endian = "little")) };
        // SAFETY: the reference covers half of the word's bytes, at an address that is aligned for
        // both, and is only handed to the kernel, which reads it atomically.
        unsafe { &*std::ptr::from_ref(self).cast::<AtomicU32>() }
    }
}

/// Sleeps while `word` holds `expected`, for at most `timeout`.
pub(crate) fn wait(word: &impl Futex, expected: u32, timeout: Option<Duration>) -> Woken {
    futex::wait(word.futex(), expected, timeout)
}

/// Wakes up to `count` that sleep on `word`; returns how many.
pub(crate) fn wake(word: &impl Futex, count: u32) -> u32 {
    futex::wake(word.futex(), count)
}
