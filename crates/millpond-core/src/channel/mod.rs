//! Channels in shared memory: the ring between a pool and a worker and the link that holds two; the
//! pipe whose ends many processes may share; the queue that many processes put into and take from.

pub mod attachments;
pub mod link;
pub mod payload;
pub mod pipe;
pub mod queue;
pub mod ring;
