//! Channels in shared memory: the ring between a pool and a worker, and the link that holds two.

pub mod link;
pub mod ring;
