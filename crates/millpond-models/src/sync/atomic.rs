//! loom's atomics, which a dead process does not change any more, and the futex.

use std::time::Duration;

pub use loom::sync::atomic::{Ordering, fence};

use crate::os::futex::Woken;
pub use crate::sync::in_place;
use crate::world;

/// The fence that it stands for on every machine.
pub fn fence_behind_exchange() {
    fence(Ordering::SeqCst);
}

macro_rules! atomic {
    ($name:ident, $of:ty) => {
        /// An atomic of the model.
        #[derive(Debug, Default)]
        pub struct $name(loom::sync::atomic::$name);

        impl $name {
            /// With this value.
            #[must_use]
            pub fn new(value: $of) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            /// Some value that the ordering permits to see.
            pub fn load(&self, order: Ordering) -> $of {
                self.0.load(order)
            }

            /// Stores a value.
            pub fn store(&self, value: $of, order: Ordering) {
                if world::lives() {
                    self.0.store(value, order);
                }
            }

            /// Stores a value and returns the one before.
            pub fn swap(&self, value: $of, order: Ordering) -> $of {
                if world::lives() { self.0.swap(value, order) } else { value }
            }

            /// Stores `new` if the value is `from`.
            ///
            /// # Errors
            /// The value, if it is another.
            pub fn compare_exchange(
                &self,
                from: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                if world::lives() {
                    self.0.compare_exchange(from, new, success, failure)
                } else {
                    Ok(from)
                }
            }

            /// As `compare_exchange`; models do not fail for no reason.
            ///
            /// # Errors
            /// The value, if it is another.
            pub fn compare_exchange_weak(
                &self,
                from: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                self.compare_exchange(from, new, success, failure)
            }

            /// Adds and returns the value before.
            pub fn fetch_add(&self, n: $of, order: Ordering) -> $of {
                if world::lives() { self.0.fetch_add(n, order) } else { 0 }
            }

            /// Keeps some bits and returns the value before.
            pub fn fetch_and(&self, bits: $of, order: Ordering) -> $of {
                if world::lives() { self.0.fetch_and(bits, order) } else { 0 }
            }

            /// Sets bits and returns the value before.
            pub fn fetch_or(&self, bits: $of, order: Ordering) -> $of {
                if world::lives() { self.0.fetch_or(bits, order) } else { 0 }
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);

/// Where a word is, for the table of sleepers.
fn place<T>(word: &T) -> usize {
    std::ptr::from_ref(word).addr()
}

/// A word on which threads can sleep.
pub trait Futex {
    /// Whether the half that is compared, which is the low one, is this.
    fn holds(&self, expected: u32) -> bool;
}

impl Futex for AtomicU32 {
    fn holds(&self, expected: u32) -> bool {
        self.load(Ordering::Relaxed) == expected
    }
}

impl Futex for AtomicU64 {
    fn holds(&self, expected: u32) -> bool {
        self.load(Ordering::Relaxed) as u32 == expected
    }
}

/// Sleeps while `word` holds `expected`, for at most `timeout`.
pub fn wait(word: &impl Futex, expected: u32, timeout: Option<Duration>) -> Woken {
    world::sleep(place(word), timeout, || word.holds(expected))
}

/// Wakes up to `count` that sleep on `word`; returns how many.
pub fn wake(word: &impl Futex, count: u32) -> u32 {
    world::wake(place(word), count)
}
