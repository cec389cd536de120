//! Shared bytes: memory whose meaning its users agree on, such as a C struct or an array.
//!
//! Up to 32 KiB they lie in a slot of a slab, so that a thousand counters do not cost a thousand
//! descriptors; what is larger has a region, and a descriptor, of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use crate::os::memory;
use crate::shm::slab::Slot;
use crate::shm::wire_handle::{WireHandle, WireHandleError};

const KIND: u32 = u32::from_le_bytes(*b"byte");

/// Zeroed bytes that processes share. Forked children inherit them; others open a wire handle.
///
/// What lies in them is for their users to agree on and to guard: the engine neither reads nor
/// writes it, but for [numbers](crate::shm::number).
#[derive(Debug)]
pub struct Bytes {
    slot: Slot,
}

impl Bytes {
    /// `length` zeroed bytes, aligned to 64. Large ones have pages as they are touched.
    ///
    /// # Errors
    /// `OutOfMemory` when the machine could never hold so many; the system's, when descriptors or
    /// memory have run out.
    ///
    /// # Example
    /// ```
    /// use millpond_core::shm::bytes::Bytes;
    ///
    /// let bytes = Bytes::new(1000)?;
    /// assert_eq!(bytes.length(), 1000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(length: usize) -> io::Result<Self> {
        memory::could_hold(length as u64)?;
        Ok(Self { slot: Slot::allocate_sparse(length)? })
    }

    /// How many there are.
    #[must_use]
    pub fn length(&self) -> usize {
        self.slot.length()
    }

    /// The first one; all of them stay mapped as long as `self` lives.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.slot.start()
    }

    /// A wire handle that leads to them. Some process must use it; see [`WireHandle::send`].
    #[must_use]
    pub fn send(&self) -> WireHandle {
        WireHandle::send(&self.slot, KIND)
    }

    /// A wire handle that leads to them together with their descriptor; see [`WireHandle::new`].
    #[must_use]
    pub fn wire_handle(&self) -> WireHandle {
        WireHandle::new(&self.slot, KIND)
    }

    /// The bytes that an encoded wire handle names, behind `fd` where the wire handle came with one.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open(wire_handle: &[u8], fd: Option<OwnedFd>) -> Result<Self, WireHandleError> {
        let wire_handle = WireHandle::decode(wire_handle, KIND)?;
        let slot = match fd {
            Some(fd) => wire_handle.open_with(fd, None)?,
            None => wire_handle.open()?,
        };
        Ok(Self { slot })
    }
}

impl AsFd for Bytes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.slot.region().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_handle_leads_to_the_same_bytes() {
        for length in [0, 1, 300, 5000, 100_000] {
            let bytes = Bytes::new(length).expect("memory");
            let opened = Bytes::open(&bytes.send().encode(), None).expect("the bytes");
            assert_eq!((opened.start(), opened.length()), (bytes.start(), length));
        }
    }

    #[test]
    fn more_than_the_machine_has_is_refused_at_once() {
        for length in [1 << 60, usize::MAX - 10] {
            let error = Bytes::new(length).expect_err("no machine has that much");
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        }
        Bytes::new(10).expect("memory");
    }

    #[test]
    fn large_bytes_have_no_pages_before_they_are_touched() {
        let bytes = Bytes::new(8 << 20).expect("memory");
        let blocks = || rustix::fs::fstat(&bytes).expect("a descriptor").st_blocks * 512;
        assert!(blocks() < 1 << 20, "{}", blocks());
        // SAFETY: within the bytes, which no other code knows.
        unsafe { bytes.start().write_bytes(1, bytes.length()) };
        assert!(blocks() >= 8 << 20, "{}", blocks());
    }
}
