//! Pools of worker processes.

mod async_result;
mod bootstrap;
mod bounds;
mod builder;
mod calls;
mod chunked;
mod frame;
mod handle;
mod imap;
mod initializer;
mod job;
mod reply;
mod shared;
mod shipped;
mod size;
mod worker;
pub(crate) mod zygote;

pub use async_result::AsyncResult;
pub use builder::PoolBuilder;
pub use chunked::Chunked;
pub use handle::Pool;
pub use imap::{Imap, ImapUnordered};
pub use initializer::Initialized;
