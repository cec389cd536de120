//! `Shared`, a typed object in a slot of shared memory, and the traits that its type needs.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use crate::shm::holdings::HeldSlot;
pub use crate::shm::holdings::Holdable;
use crate::shm::slab::Slot;
use crate::shm::wire_handle::{WireHandle, WireHandleError};

/// A type that processes share by its bytes.
///
/// # Safety
/// All-zero bytes are a valid value, and so are any bytes that another process may have written.
/// It holds no pointers, everything in it that changes is atomic or guarded by what is, it needs
/// no drop, and it is aligned to at most 64 bytes.
pub unsafe trait SharedObject: Sync + Sized + 'static {
    /// Tells objects of this type from others in a wire handle.
    const KIND: u32;
    /// How many bytes of an object have pages from its beginning on. An object that uses those behind
    /// reserves them.
    const RESERVED: usize = size_of::<Self>();

    /// The object as one that processes can hold, if it is one.
    fn as_holdable(&self) -> Option<&dyn Holdable> {
        None
    }
}

/// A handle to an object in shared memory. Forked children inherit it; others open a wire handle.
pub struct Shared<T> {
    slot: HeldSlot,
    of: PhantomData<T>,
}

/// Views what lies there as an object that can be held.
///
/// # Safety
/// A T lies there.
pub(crate) unsafe fn view<T: SharedObject>(start: NonNull<u8>) -> Option<NonNull<dyn Holdable>> {
    // SAFETY: the caller's promise; all references to a shared object are shared ones.
    unsafe { start.cast::<T>().as_ref() }.as_holdable().map(NonNull::from)
}

impl<T: SharedObject> Shared<T> {
    /// A new object of zero bytes.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn zeroed() -> io::Result<Self> {
        const { assert!(align_of::<T>() <= 64 && !std::mem::needs_drop::<T>()) };
        Ok(Self::over(Slot::allocate_partly(size_of::<T>(), T::RESERVED)?))
    }

    /// The object in a slot of its length.
    fn over(slot: Slot) -> Self {
        // SAFETY: the slot is as long as T, aligned to 64, and any bytes are a valid T.
        Self { slot: unsafe { HeldSlot::new(slot, view::<T>) }, of: PhantomData }
    }

    /// A wire handle that leads to the object. Some process must use it; see [`WireHandle::send`].
    #[must_use]
    pub fn send(&self) -> WireHandle {
        WireHandle::send(&self.slot, T::KIND)
    }

    /// A wire handle that leads to the object together with its descriptor; see [`WireHandle::new`].
    #[must_use]
    pub fn wire_handle(&self) -> WireHandle {
        WireHandle::new(&self.slot, T::KIND)
    }

    /// The same for one process that is being started; see `WireHandle::for_one`.
    #[must_use]
    pub fn wire_handle_for_one(&self) -> WireHandle {
        WireHandle::for_one(&self.slot, T::KIND)
    }

    /// The memory that it lies in.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The object that an encoded wire handle names, behind `fd` where the wire handle came with
    /// one.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open(wire_handle: &[u8], fd: Option<OwnedFd>) -> Result<Self, WireHandleError> {
        let wire_handle = WireHandle::decode(wire_handle, T::KIND)?;
        Self::in_slot(match fd {
            Some(fd) => wire_handle.open_with(fd, None)?,
            None => wire_handle.open()?,
        })
    }

    /// The object that lies in a slot that a wire handle of its kind led to.
    ///
    /// # Errors
    /// [`WireHandleError::Damaged`] if the slot is not as long as the object.
    pub fn in_slot(slot: Slot) -> Result<Self, WireHandleError> {
        if slot.length() != size_of::<T>() {
            return Err(WireHandleError::Damaged);
        }
        Ok(Self::over(slot))
    }
}

impl<T: SharedObject> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is as long as T, aligned to 64, mapped as long as `self`, and any bytes
        // are a valid T.
        unsafe { self.slot.start().cast::<T>().as_ref() }
    }
}

impl<T: SharedObject + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: a handle is an address range and `T: Sync`; nothing is tied to a thread.
unsafe impl<T: SharedObject> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: SharedObject> Sync for Shared<T> {}
