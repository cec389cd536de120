//! `Plain`, the trait of types whose values can lie in shared memory: any bytes are a valid value.

use std::ptr::NonNull;

use bytemuck::Pod;

/// Data that processes can share by its bytes: numbers, arrays of them, and structs for which
/// [`Pod`] is derived. Any bytes are a valid value, as a process may die while it writes one; there
/// are no pointers, which would mean nothing elsewhere, and nothing to drop.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data, so processes cannot share it",
    label = "not plain data",
    note = "numbers and arrays of them are; a struct of such is with `#[repr(C)]` and \
            `#[derive(Clone, Copy, Pod, Zeroable)]` of the crate `bytemuck`",
    note = "`bool`, `char` and enums are not: a process may die while it writes one, and leave \
            bytes that are no value; use an integer"
)]
pub trait Plain: Pod + Send + Sync {}

impl<T: Pod + Send + Sync> Plain for T {}

mod sealed {
    pub trait Sealed {}
    impl<T: super::Plain> Sealed for T {}
    impl<T: super::Plain> Sealed for [T] {}
}

/// One value, or a slice of values, of plain data.
pub trait Payload: sealed::Sealed + Send + Sync {
    /// Whether so many bytes are one of these.
    fn fits(bytes: usize) -> bool;

    /// The pointer to that which lies in the `bytes` at `start`.
    fn point(start: NonNull<u8>, bytes: usize) -> NonNull<Self>;
}

impl<T: Plain> Payload for T {
    fn fits(bytes: usize) -> bool {
        const { assert!(align_of::<T>() <= 64, "data in shared memory is aligned to at most 64") }
        bytes == size_of::<T>()
    }

    #[inline]
    fn point(start: NonNull<u8>, _: usize) -> NonNull<T> {
        const { assert!(align_of::<T>() <= 64, "data in shared memory is aligned to at most 64") }
        start.cast()
    }
}

impl<T: Plain> Payload for [T] {
    fn fits(bytes: usize) -> bool {
        const { assert!(align_of::<T>() <= 64, "data in shared memory is aligned to at most 64") }
        const { assert!(size_of::<T>() > 0, "a slice of nothing needs no memory") }
        bytes.is_multiple_of(size_of::<T>())
    }

    #[inline]
    fn point(start: NonNull<u8>, bytes: usize) -> NonNull<[T]> {
        const { assert!(align_of::<T>() <= 64, "data in shared memory is aligned to at most 64") }
        const { assert!(size_of::<T>() > 0, "a slice of nothing needs no memory") }
        NonNull::slice_from_raw_parts(start.cast(), bytes / size_of::<T>())
    }
}
