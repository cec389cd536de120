//! Channels: the ring between a pool and a worker, the link that holds two, and pipes.

pub mod link;
pub mod pipe;
pub mod ring;
