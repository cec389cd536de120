//! The layout of a queue's memory, and the words of its unit map.
//!
//! ```text
//! 0          64         MAP_START      COUNTS_START   HEAP_START          at most LENGTH
//! │ (Region) │ control  │ unit map     │ counts       │ heap: units of 64 KiB          │
//! └── real pages ───────┴── pages as they are used ───┴── pages as blocks are used ────┘
//! └── mapped by every process ────────────────────────┴── mapped in windows, when used ┘
//! ```
//!
//! The file ends behind the last unit that was ever reserved: reserving a unit makes it as long as
//! that takes, so growing it needs no agreement, and a limit on the size of files bounds what
//! is used.

use crate::shm::region::HEADER;
use crate::sync::atomic::{AtomicU64, Ordering};

pub(super) const PAGE: usize = 4096;
/// What memory is handed out in.
pub(super) const UNIT: usize = 64 << 10;
/// How many units a queue can have: 128 GiB.
pub(super) const UNITS: usize = 1 << 21;
/// How many units a process maps at once: 64 MiB.
pub(super) const WINDOW: usize = 1 << 10;
/// Where the unit map begins.
pub(super) const MAP_START: usize = 8 << 10;
/// Where the places of the counts begin.
pub(super) const COUNTS_START: usize = MAP_START + UNITS * size_of::<Unit>();
/// How many bytes every process maps.
pub(super) const MAPPED: usize = COUNTS_START + 3 * PLACES_LENGTH;
/// How many processes the counts can tell apart.
pub(super) const PLACES: usize = 1 << 16;
/// How many bytes the places of counts have.
pub(super) const PLACES_LENGTH: usize = PLACES * 16;
/// Where the heap begins in the file.
pub(super) const HEAP_START: u64 = 64 << 20;
/// How long the file can become.
pub(super) const LENGTH: u64 = HEAP_START + (UNITS * UNIT) as u64;
/// How many bytes the control page has.
pub(super) const CONTROL: usize = MAP_START - HEADER;

const _: () = assert!(MAPPED as u64 <= HEAP_START);

/// Where a unit of the heap lies in the file.
pub(super) fn file_offset(unit: usize) -> u64 {
    HEAP_START + (unit * UNIT) as u64
}

/// What the map says of one unit. The words of the first unit of a block speak for the block.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Unit {
    /// A [`Holding`].
    holding: AtomicU64,
    /// Units of the block that begins here, and [`WARM`] for this unit alone.
    size: AtomicU64,
}

/// The unit has pages.
const WARM: u64 = 1 << 63;

/// The holder or the use of a block.
///
/// ```text
/// 63                            8 7     0
/// │ 0                            │ FREE  │
/// │ process (ProcessId)          │ OWNED │  a process fills or reads it
/// │ number of the item           │ QUEUED│  the record of that item names it
/// │ number of its first item     │ SEGMENT│ it holds records
/// ```
///
/// The number is what makes deaths harmless: whether the item counts is said by the counts of the
/// two sides, so a block is garbage exactly when its item was never committed or was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    Free,
    Owned(u64),
    Queued(u64),
    Segment(u64),
    Damaged,
}

const KIND: u64 = 0xff;
const OWNED: u64 = 1;
const QUEUED: u64 = 2;
const SEGMENT: u64 = 3;

impl Holding {
    fn encode(self) -> u64 {
        match self {
            Self::Free | Self::Damaged => 0,
            Self::Owned(process) => process | OWNED,
            Self::Queued(item) => item << 8 | QUEUED,
            Self::Segment(item) => item << 8 | SEGMENT,
        }
    }

    fn decode(word: u64) -> Self {
        match word & KIND {
            0 if word == 0 => Self::Free,
            OWNED => Self::Owned(word & !KIND),
            QUEUED => Self::Queued(word >> 8),
            SEGMENT => Self::Segment(word >> 8),
            _ => Self::Damaged,
        }
    }
}

impl Unit {
    pub(super) fn holding(&self) -> Holding {
        // Acquire: what the last holder did with the block comes before what the reader does.
        Holding::decode(self.holding.load(Ordering::Acquire))
    }

    pub(super) fn hold(&self, holding: Holding) {
        // Release: what the caller did with the block comes before what the next holder does.
        self.holding.store(holding.encode(), Ordering::Release);
    }

    // Relaxed below: sizes are read by holders of the block or of the heap's guard, after an
    // acquiring load of the word above or of the guard.

    /// How many units the block has that begins here. Not checked.
    pub(super) fn units(&self) -> usize {
        (self.size.load(Ordering::Relaxed) & !WARM) as usize
    }

    pub(super) fn set_units(&self, units: usize) {
        let warm = self.size.load(Ordering::Relaxed) & WARM;
        self.size.store(units as u64 | warm, Ordering::Relaxed);
    }

    pub(super) fn is_warm(&self) -> bool {
        self.size.load(Ordering::Relaxed) & WARM != 0
    }

    pub(super) fn set_warm(&self, warm: bool) {
        let units = self.size.load(Ordering::Relaxed) & !WARM;
        self.size.store(units | if warm { WARM } else { 0 }, Ordering::Relaxed);
    }
}
