//! The atomics and the futex that primitives are made of, in one place so that models of them can
//! put others there.

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
pub fn fence_behind_exchange() {
    // Whoever checks orderings by their names must see one.
    if cfg!(all(target_arch = "x86_64", not(miri))) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The half of a word that the kernel compares: the low one, which comes first in memory.
fn low(word: &AtomicU64) -> &AtomicU32 {
    const { assert!(cfg!(target_endian = "little")) };
    // SAFETY: the reference covers half of the word's bytes, at an address that is aligned for
    // both, and is only handed to the kernel, which reads it atomically.
    unsafe { &*std::ptr::from_ref(word).cast::<AtomicU32>() }
}

/// Sleeps while the low half of `word` holds `expected`, for at most `timeout`.
pub fn wait_low(word: &AtomicU64, expected: u32, timeout: Option<Duration>) -> Woken {
    futex::wait(low(word), expected, timeout)
}

/// Wakes up to `count` that sleep on the low half of `word`; returns how many.
pub fn wake_low(word: &AtomicU64, count: u32) -> u32 {
    futex::wake(low(word), count)
}

/// Sleeps while `word` holds `expected`, for at most `timeout`.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
    futex::wait(word, expected, timeout)
}

/// Wakes up to `count` that sleep on `word`; returns how many.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    futex::wake(word, count)
}
