//! Atomics of the usual layout, for what lies over bytes.
//!
//! Each access is a step between which loom switches threads, so all interleavings are seen, but not
//! what weaker orderings would permit: that the commit publishes the bytes is left to the sanitizer.

use std::sync::atomic::Ordering;

use crate::world;

macro_rules! in_place {
    ($name:ident, $of:ty) => {
        /// An atomic that lies over bytes.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(std::sync::atomic::$name);

        impl $name {
            /// Its value.
            pub fn load(&self, order: Ordering) -> $of {
                world::step();
                self.0.load(order)
            }

            /// Stores a value.
            pub fn store(&self, value: $of, order: Ordering) {
                world::step();
                if world::lives() {
                    self.0.store(value, order);
                }
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
                world::step();
                if world::lives() {
                    self.0.compare_exchange(from, new, success, failure)
                } else {
                    Ok(from)
                }
            }
        }
    };
}

in_place!(AtomicU32, u32);
in_place!(AtomicU64, u64);
