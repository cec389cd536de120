//! The header of a block of a [heap](crate::shm::heap), and the states by which its owner and its
//! receiver hand it back and forth.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::map::Mapping;

/// Bytes before the payload; the payload is aligned to as much.
pub const BLOCK_HEADER: usize = 64;
const SMALLEST_CLASS: usize = 64 << 10;

pub(crate) const FREE: u32 = 0;
pub(crate) const LENT: u32 = 1;
/// Beside one of the others: pages of the block are gone.
pub(crate) const COLD: u32 = 2;

/// Where a payload lies in a segment's heap, as it is written into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// The block's offset in the segment.
    pub(crate) offset: u64,
    /// The payload's length in bytes.
    pub(crate) length: u64,
}

/// The size of the blocks that payloads of `length` bytes travel in.
pub(crate) fn class_of(length: usize) -> Option<usize> {
    let class = length.checked_add(BLOCK_HEADER)?.checked_next_power_of_two()?;
    Some(class.max(SMALLEST_CLASS))
}

/// The shared state word of a block that is all of a mapping.
pub(crate) fn state(map: &Mapping) -> &AtomicU32 {
    // SAFETY: a block is at least SMALLEST_CLASS long and page-aligned, its first word is used as
    // an atomic by every process, and any bits are a valid u32.
    unsafe { map.start().cast::<AtomicU32>().as_ref() }
}

/// Whether a block is free for its owner, which has noted in `warm` how many bytes of it have
/// pages.
pub(crate) fn is_free(map: &Mapping, warm: &mut u64) -> bool {
    has_come_back(state(map), warm)
}

pub(super) fn has_come_back(state: &AtomicU32, warm: &mut u64) -> bool {
    // Acquire: the receiver's last reads come before whatever is done with the block next.
    match state.load(Ordering::Acquire) {
        FREE => true,
        COLD => {
            *warm = 0;
            true
        }
        _ => false,
    }
}
