//! Typed objects in shared memory.

/// A type that processes share by its bytes.
///
/// # Safety
/// None in models, whose atomics are no bytes.
pub unsafe trait SharedObject: Sync + 'static {
    /// Tells objects of this type from others.
    const KIND: u32;
}
