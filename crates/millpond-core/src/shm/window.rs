//! `Window`, a range of a heap that a process maps as one, and the division of a heap into windows.
//!
//! A process may have some 65,000 mappings, so a mapping for each block would run out where there
//! is plenty of memory. Sender and receiver cut a heap alike, by its offsets alone:
//!
//! ```text
//! 0     1 MiB    2 MiB      4 MiB        8 MiB   …   64 MiB            128 MiB
//! ├───────┼────────┼──────────┼────────────┼─── … ─────┼──────────────────┼──────────
//! ```
//!
//! The first windows are small, so that a heap with few blocks takes little address space. A block
//! that is larger than its window has a mapping of its own.

use crate::shm::segment::HEAP_START;

const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 64 << 20;

/// A range of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) start: u64,
    pub(crate) length: usize,
}

impl Window {
    /// What is to be mapped for the block of `class` bytes at `offset`.
    pub(crate) fn around(offset: u64, class: usize) -> Self {
        let within = offset - HEAP_START;
        let (start, length) = cut(within);
        if within + class as u64 <= start + length {
            Self { start: HEAP_START + start, length: as_usize(length) }
        } else {
            Self { start: offset, length: class }
        }
    }

    /// Where a new block of `class` bytes goes, at `end` or behind it: into a window, if that is
    /// large enough.
    pub(crate) fn place(end: u64, class: usize) -> Option<u64> {
        let within = (end - HEAP_START).checked_next_multiple_of(class as u64)?;
        let aligned = HEAP_START.checked_add(within)?;
        aligned.checked_add(class as u64)?;
        Some(if class as u64 <= cut(within).1 { aligned } else { end })
    }
}

/// The window that has the byte so far behind the start of the heap: where it begins, and its length.
fn cut(within: u64) -> (u64, u64) {
    if within < SMALLEST {
        return (0, SMALLEST);
    }
    let length = LARGEST.min(1 << within.ilog2());
    (within / length * length, length)
}

/// A length of at most [`LARGEST`].
#[expect(clippy::cast_possible_truncation, reason = "64 MiB")]
fn as_usize(length: u64) -> usize {
    length as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn window(start: usize, length: usize) -> Window {
        Window { start: HEAP_START + start as u64, length }
    }

    fn around(within: usize, class: usize) -> Window {
        Window::around(HEAP_START + within as u64, class)
    }

    #[test]
    fn windows_lie_side_by_side() {
        let mut start = 0;
        for length in [1, 1, 2, 4, 8, 16, 32, 64, 64, 64].map(|n| n * MIB) {
            for within in [start, start + length / 2, start + length - (64 << 10)] {
                assert_eq!(around(within, 64 << 10), window(start, length));
            }
            start += length;
        }
    }

    #[test]
    fn a_block_that_does_not_fit_has_a_mapping_of_its_own() {
        assert_eq!(around(MIB, 2 * MIB), window(MIB, 2 * MIB));
        assert_eq!(around(65 * MIB, 64 * MIB), window(65 * MIB, 64 * MIB));
        assert_eq!(around(64 * MIB, 64 * MIB), window(64 * MIB, 64 * MIB));
    }

    #[test]
    fn new_blocks_are_placed_where_windows_hold_them() {
        let place = |end: usize, class| Window::place(HEAP_START + end as u64, class);
        assert_eq!(place(64 << 10, MIB), Some(HEAP_START + MIB as u64));
        assert_eq!(place(MIB + (64 << 10), 2 * MIB), Some(HEAP_START + 2 * MIB as u64));
        // It would fit no window, so nothing is left out.
        assert_eq!(place(64 << 10, 1 << 30), Some(HEAP_START + (64 << 10)));
        assert_eq!(Window::place(u64::MAX - 4096, 64 << 10), None);
    }
}
