//! Shared slices: plain data that all read and write at once.

use std::fmt;
use std::sync::Arc;

use millpond_core::shm::slice::AtomicSlice;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::timeout::no_memory;
use super::{Number, Plain};
use crate::error::Result;
use crate::wire_handle;

/// A slice of plain data that processes and threads read and write at the same time, without a
/// lock. Its length is fixed when it is made.
///
/// ```
/// use millpond::sync::SharedSlice;
///
/// fn square(numbers: SharedSlice<f64>, from: usize, to: usize) {
///     for index in from..to {
///         numbers.store(index, numbers.load(index).powi(2));
///     }
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let numbers = SharedSlice::from_slice(&[1.0, 2.0, 3.0, 4.0])?;
///     let left = millpond::spawn(square, (numbers.clone(), 0, 2))?;
///     let right = millpond::spawn(square, (numbers.clone(), 2, 4))?;
///     left.join()?;
///     right.join()?;
///     assert_eq!(numbers.to_vec(), [1.0, 4.0, 9.0, 16.0]);
///     Ok(())
/// }
/// ```
///
/// # Why there is no `&[T]`
///
/// A reference promises that what it refers to does not change, or only by itself. Here others may
/// write at any moment, so elements go in and out by value, in atomic accesses. A number is never
/// torn: each value that is read was written by some process. A struct or an array may be, partly
/// old and partly new, and so may be a range of elements. Where that matters, take a
/// [`Mutex<[T]>`](super::Mutex::from_slice), which lends a real `&mut [T]` to one at a time. It
/// also copies bytes faster: elements of one or two bytes are copied one by one here.
///
/// What a process wrote before it stored an element is visible to one that loads that element.
pub struct SharedSlice<T>(Arc<AtomicSlice<T>>);

impl<T: Plain> SharedSlice<T> {
    /// A new slice of `length` elements of zero bytes.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn zeroed(length: usize) -> Result<Self> {
        AtomicSlice::zeroed(length).map(|slice| Self(Arc::new(slice))).map_err(no_memory)
    }

    /// A new slice with a copy of `values`.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let slice = Self::zeroed(values.len())?;
        slice.copy_from_slice(0, values);
        Ok(slice)
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[inline]
    pub fn load(&self, index: usize) -> T {
        self.0.load(index)
    }

    /// Writes the element at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn store(&self, index: usize, value: T) {
        self.0.write(index, &[value]);
    }

    /// Copies as many elements as `to` has room for, from the one at `start` on.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn copy_to_slice(&self, start: usize, to: &mut [T]) {
        self.0.read(start, to);
    }

    /// Writes the elements of `from`, the first one at `start`.
    ///
    /// # Panics
    /// If there is not enough room.
    pub fn copy_from_slice(&self, start: usize, from: &[T]) {
        self.0.write(start, from);
    }

    /// A copy of all elements.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.0.to_vec(0, self.len())
    }
}

impl<T: Number> SharedSlice<T> {
    /// The elements as atomics, such as [`AtomicU64`](std::sync::atomic::AtomicU64) for `u64`.
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use std::sync::atomic::Ordering;
    ///
    /// let counts = millpond::sync::SharedSlice::<u64>::zeroed(3)?;
    /// counts.as_atomics()[1].fetch_add(5, Ordering::Relaxed);
    /// assert_eq!(counts.to_vec(), [0, 5, 0]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn as_atomics(&self) -> &[T::Atomic] {
        self.0.as_atomics()
    }
}

impl<T> Clone for SharedSlice<T> {
    /// Another handle to the same elements.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Plain> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSlice").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T: Plain> Serialize for SharedSlice<T> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), AtomicSlice::<T>::KIND, to)
    }
}

impl<'de, T: Plain> Deserialize<'de> for SharedSlice<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let kind = AtomicSlice::<T>::KIND;
        wire_handle::receive(kind, from, AtomicSlice::open).map(|slice| Self(Arc::new(slice)))
    }
}
