//! Shared slices: plain data that many processes read and write at the same time, without a lock.
//!
//! There is never a reference to such data, since others write it at any moment. Elements go in
//! and out by value, as relaxed atomic accesses of units of one size: that of the alignment of the
//! element type, at most 8 bytes. One type has one unit, so accesses that race never differ in
//! size, which the memory model of Rust (as that of C++) requires. An element of one unit, which
//! all numbers are, is never torn. Larger ones may be: some units new, some old.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize, Ordering, fence,
};

use crate::shm::plain::{Payload, Plain};
use crate::shm::slab::Slot;
use crate::shm::wire_handle::WireHandleError;

/// A handle to a slice in shared memory.
///
/// Its elements have bytes:
///
/// ```compile_fail
/// let _ = millpond_core::shm::slice::AtomicSlice::<()>::zeroed(1);
/// ```
pub struct AtomicSlice<T> {
    slot: Slot,
    of: PhantomData<T>,
}

impl<T: Plain> AtomicSlice<T> {
    const MUST_HAVE_BYTES: () =
        assert!(size_of::<T>() > 0, "the elements of a slice have no bytes");
    const UNIT: usize = if align_of::<T>() < 8 { align_of::<T>() } else { 8 };

    /// Tells slices of this unit from other objects in a wire handle: accesses that race must not
    /// differ in size.
    pub const KIND: u32 = u32::from_le_bytes([b's', b'l', Self::UNIT as u8, 0]);

    /// A new slice of `length` elements of zero bytes.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn zeroed(length: usize) -> io::Result<Self> {
        const { Self::MUST_HAVE_BYTES }
        let bytes = length.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // A slot of no bytes would be nowhere.
        let slot = Slot::allocate(bytes.max(size_of::<T>()))?.shortened(bytes);
        Ok(Self { slot, of: PhantomData })
    }

    /// The slice that lies in a slot that a wire handle of [this kind](Self::KIND) led to.
    ///
    /// # Errors
    /// [`WireHandleError::Damaged`] if the slot's length is not a multiple of an element's.
    pub fn open(slot: Slot) -> Result<Self, WireHandleError> {
        const { Self::MUST_HAVE_BYTES }
        let fits = <[T]>::fits(slot.length());
        if fits { Ok(Self { slot, of: PhantomData }) } else { Err(WireHandleError::Damaged) }
    }

    /// The memory that it lies in.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// How many elements it has.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.slot.length() / size_of::<T>()
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn range(&self, start: usize, count: usize) -> Range<usize> {
        let end = start.checked_add(count).filter(|&end| end <= self.len());
        let end = end.unwrap_or_else(|| {
            panic!("{count} elements from {start} on exceed a shared slice of {}", self.len())
        });
        start..end
    }

    #[inline]
    fn element(&self, index: usize) -> *mut T {
        // SAFETY: callers have checked that the index is at most the length.
        unsafe { self.slot.start().cast::<T>().add(index).as_ptr() }
    }

    /// Copies elements out, from the one at `start` on.
    ///
    /// # Panics
    /// If there are not as many.
    #[inline]
    pub fn read(&self, start: usize, to: &mut [T]) {
        let range = self.range(start, to.len());
        // SAFETY: the elements exist, `to` is as long, and any bytes are a valid T.
        unsafe { self.copy_out(range, to.as_mut_ptr()) }
    }

    /// The elements in a range.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn to_vec(&self, start: usize, count: usize) -> Vec<T> {
        let range = self.range(start, count);
        let mut copy = Vec::with_capacity(count);
        // SAFETY: there is room for so many, all of which are filled.
        unsafe {
            self.copy_out(range, copy.as_mut_ptr());
            copy.set_len(count);
        }
        copy
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[inline]
    pub fn load(&self, index: usize) -> T {
        let mut value = MaybeUninit::uninit();
        // SAFETY: the element exists, there is room for one, and any bytes are a valid T.
        unsafe {
            self.copy_out(self.range(index, 1), value.as_mut_ptr());
            value.assume_init()
        }
    }

    /// Copies elements in, from the one at `start` on.
    ///
    /// # Panics
    /// If there are not as many.
    #[inline]
    pub fn write(&self, start: usize, from: &[T]) {
        let range = self.range(start, from.len());
        // Release: what the caller wrote elsewhere before is visible to a reader of these elements.
        fence(Ordering::Release);
        let (to, units) = (self.element(range.start), size_of_val(from) / Self::UNIT);
        // SAFETY: both ranges exist; T is as aligned as its unit and has no uninitialised bytes;
        // every access to the shared one is by atomics of the same size.
        unsafe {
            match Self::UNIT {
                1 => store::<AtomicU8>(from.as_ptr().cast(), to.cast(), units),
                2 => store::<AtomicU16>(from.as_ptr().cast(), to.cast(), units),
                4 => store::<AtomicU32>(from.as_ptr().cast(), to.cast(), units),
                _ => store::<AtomicU64>(from.as_ptr().cast(), to.cast(), units),
            }
        }
    }

    /// # Safety
    /// The elements exist, and `to` has room for them.
    #[inline]
    unsafe fn copy_out(&self, range: Range<usize>, to: *mut T) {
        let from = self.element(range.start);
        let units = range.len() * size_of::<T>() / Self::UNIT;
        // SAFETY: as in `write`.
        unsafe {
            match Self::UNIT {
                1 => load::<AtomicU8>(from.cast(), to.cast(), units),
                2 => load::<AtomicU16>(from.cast(), to.cast(), units),
                4 => load::<AtomicU32>(from.cast(), to.cast(), units),
                _ => load::<AtomicU64>(from.cast(), to.cast(), units),
            }
        }
        // Acquire: pairs with `write`.
        fence(Ordering::Acquire);
    }
}

impl<T: Number> AtomicSlice<T> {
    /// The elements as atomics of their size, which [`read`](Self::read) and
    /// [`write`](Self::write) go through as well.
    #[must_use]
    #[inline]
    pub fn as_atomics(&self) -> &[T::Atomic] {
        // SAFETY: the slot has so many elements and is mapped as long as `self`; an atomic has the
        // size, alignment and bytes of its number; nobody has a reference to the data that is not
        // to atomics, as all access is by value through atomics of this size.
        unsafe { std::slice::from_raw_parts(self.slot.start().cast().as_ptr(), self.len()) }
    }
}

/// A unit of access.
trait Unit {
    type Value;
    fn get(&self) -> Self::Value;
    fn put(&self, value: Self::Value);
}

/// # Safety
/// So many units lie at `from`, all access to which is through such atomics, and at `to` there is
/// room for as many.
#[inline]
unsafe fn load<A: Unit>(from: *const A, to: *mut A::Value, units: usize) {
    for n in 0..units {
        // SAFETY: the caller's promise.
        unsafe { to.add(n).write((*from.add(n)).get()) }
    }
}

/// # Safety
/// So many initialised units lie at `from`, and at `to` as many, all access to which is through
/// such atomics.
#[inline]
unsafe fn store<A: Unit>(from: *const A::Value, to: *const A, units: usize) {
    for n in 0..units {
        // SAFETY: the caller's promise.
        unsafe { (*to.add(n)).put(from.add(n).read()) }
    }
}

/// A number that has an atomic type of its size.
pub trait Number: Plain + sealed::Sealed {
    /// That type.
    type Atomic: Sync;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! unit {
    ($($value:ty: $atomic:ty),*) => {$(
        impl Unit for $atomic {
            type Value = $value;
            // Relaxed: fences order whole copies.
            #[inline]
            fn get(&self) -> $value {
                self.load(Ordering::Relaxed)
            }
            #[inline]
            fn put(&self, value: $value) {
                self.store(value, Ordering::Relaxed);
            }
        }
    )*};
}
unit!(u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64);

macro_rules! number {
    ($($value:ty: $atomic:ty),*) => {$(
        const _: () = assert!(size_of::<$value>() == size_of::<$atomic>());
        const _: () = assert!(align_of::<$value>() == size_of::<$atomic>());
        impl sealed::Sealed for $value {}
        impl Number for $value {
            type Atomic = $atomic;
        }
    )*};
}
number!(u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize);
number!(i8: AtomicI8, i16: AtomicI16, i32: AtomicI32, i64: AtomicI64, isize: AtomicIsize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::testing::{Child, until};

    #[test]
    fn elements_of_any_unit_go_in_and_come_out() {
        fn check<T: Plain + PartialEq + std::fmt::Debug>(values: &[T]) {
            let slice = AtomicSlice::<T>::zeroed(values.len()).expect("memory");
            slice.write(0, values);
            assert_eq!(slice.to_vec(0, values.len()), values);
            assert_eq!(slice.load(1), values[1]);
            slice.write(1, &values[..1]);
            let mut two = [values[1]; 2];
            slice.read(0, &mut two);
            assert_eq!(two, [values[0]; 2]);
        }
        check(&[1_u8, 2, 3]);
        check(&[1_i16, -2, 3]);
        check(&[1.5_f32, 2.5, -3.0]);
        check(&[1.5_f64, 2.5, -3.0]);
        check(&[[1_u16, 2, 3], [4, 5, 6]]);
        check(&[u128::MAX, 5]);
    }

    #[test]
    #[should_panic(expected = "2 elements from 2 on exceed a shared slice of 3")]
    fn beyond_the_end_is_a_panic() {
        AtomicSlice::<u64>::zeroed(3).expect("memory").write(2, &[1, 2]);
    }

    #[test]
    fn none_and_too_many() {
        let none = AtomicSlice::<u64>::zeroed(0).expect("memory");
        assert!(none.is_empty() && none.to_vec(0, 0).is_empty());
        assert!(AtomicSlice::<u64>::zeroed(usize::MAX / 8).is_err());
        assert!(AtomicSlice::<u64>::zeroed(usize::MAX).is_err());
        assert!(AtomicSlice::<u64>::open(Slot::allocate(12).expect("memory")).is_err());
    }

    #[test]
    fn numbers_are_never_torn_and_atomics_add_up() {
        let slice = AtomicSlice::<u64>::zeroed(2).expect("memory");
        let whole = |n: u64| n == 0 || n == u64::MAX;
        let child = Child::run(|| {
            for n in 0..20_000_u64 {
                slice.write(0, &[0_u64.wrapping_sub(n % 2)]);
                slice.as_atomics()[1].fetch_add(1, Ordering::Relaxed);
            }
        });
        until(|| {
            assert!(whole(slice.load(0)));
            slice.load(1) == 20_000
        });
        child.join();
    }
}
