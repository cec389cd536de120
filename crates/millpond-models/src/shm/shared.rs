//! Typed objects in shared memory.

use crate::os::identity::ProcessId;

/// A type that processes share by its bytes.
///
/// # Safety
/// None in models, whose atomics are no bytes.
pub unsafe trait SharedObject: Sync + Sized + 'static {
    /// Tells objects of this type from others.
    const KIND: u32;
    /// How many bytes have pages; all have in models.
    const RESERVED: usize = size_of::<Self>();

    /// The object as one that processes can hold, if it is one.
    fn as_holdable(&self) -> Option<&dyn Holdable> {
        None
    }
}

/// An object that a process can hold.
pub trait Holdable: Sync {
    /// Whether the process holds it.
    fn is_held_by(&self, who: ProcessId) -> bool;

    /// Marks what the caller, a process that is about to end, holds of it as kept.
    fn keep(&self, me: ProcessId);
}
