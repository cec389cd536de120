//! Anonymous shared memory: segments, and the blocks that large payloads travel in.

pub mod heap;
pub mod lease;
pub mod segment;
