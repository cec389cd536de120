//! Processes of a model, by number.

use crate::world;

/// How many low bits of [`ProcessId::raw`] are always zero.
pub const SPARE_BITS: u32 = 8;

/// A process of the model; its bits are laid out as the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(u64);

impl ProcessId {
    pub(crate) fn new(number: u32) -> Self {
        Self(u64::from(number) << 32 | u64::from(number) << SPARE_BITS)
    }

    /// The process whose thread calls.
    #[must_use]
    pub fn current() -> Self {
        Self::new(world::current())
    }

    /// As a word whose low [`SPARE_BITS`] are zero, and which is not zero itself.
    #[must_use]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The process that a word names, whatever its spare bits; `None` if it names none.
    #[must_use]
    pub fn from_raw(raw: u64) -> Option<Self> {
        let named = raw & !((1 << SPARE_BITS) - 1);
        (named & 0xffff_ffff != 0).then_some(Self(named))
    }

    /// Its number.
    #[must_use]
    pub fn pid(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32 >> SPARE_BITS
    }

    /// Whether it has not died.
    pub(crate) fn is_alive(self) -> bool {
        !world::is_dead(self.pid())
    }
}
