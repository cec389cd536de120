//! How much room the tables of primitives have, in one place so that models can have small ones.

/// How many processes a semaphore knows as holders, beside its biased owner.
pub(crate) const HOLDERS: usize = 2044;

/// How many waiters a condition tells apart.
pub const RECORDS: usize = 250;

/// How many parties a barrier can have: it watches each for its death.
pub(crate) const MEMBERS: usize = 4090;

/// Whether a type fits the room that it was meant for.
pub(crate) const fn fits<T>(bytes: usize) -> bool {
    size_of::<T>() <= bytes
}
