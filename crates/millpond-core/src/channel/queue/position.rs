//! `Position`, a place in a segment, encoded in one word.

/// Bytes before the first record.
pub(super) const START: usize = 64;

/// Where a side stands: in no segment yet (all zero), or in one of 2^order units.
///
/// ```text
/// 63      32 31     24 23      0
/// │ unit     │ order   │ offset │
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(u64);

impl Position {
    pub(super) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(super) fn raw(self) -> u64 {
        self.0
    }

    /// The beginning of a segment.
    pub(super) fn start_of(unit: usize, order: u32) -> Self {
        Self((unit as u64) << 32 | u64::from(order) << 24 | START as u64)
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn unit(self) -> usize {
        (self.0 >> 32) as usize
    }

    pub(super) fn order(self) -> u32 {
        (self.0 >> 24 & 0xff) as u32
    }

    pub(super) fn offset(self) -> usize {
        (self.0 & 0xff_ffff) as usize
    }

    /// Another offset in the same segment.
    pub(super) fn at(self, offset: usize) -> Self {
        Self(self.0 & !0xff_ffff | offset as u64)
    }

    pub(super) fn is_in(self, unit: usize) -> bool {
        !self.is_none() && self.unit() == unit
    }
}
