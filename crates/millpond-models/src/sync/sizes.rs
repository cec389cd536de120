//! Tables as small as a model wants them.

/// How many processes a semaphore knows as holders.
pub(crate) const HOLDERS: usize = 2;

/// How many waiters a condition tells apart.
pub const RECORDS: usize = 2;

/// How many parties of a barrier are watched for their deaths.
pub(crate) const MEMBERS: usize = 3;

/// Whether a type fits the room that it was meant for: loom's atomics are larger.
pub(crate) const fn fits<T>(bytes: usize) -> bool {
    bytes <= bytes + size_of::<T>()
}
