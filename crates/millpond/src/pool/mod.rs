//! Pools of worker processes.

mod awaiting;
mod bootstrap;
mod bounds;
mod builder;
mod calls;
mod frame;
mod handle;
mod initializer;
mod job;
mod last_words;
mod map_iter;
pub mod par;
mod reply;
mod shared;
mod shipped;
mod size;
mod submission;
mod wakers;
mod with;
mod worker;
pub(crate) mod zygote;

pub use builder::PoolBuilder;
pub use handle::Pool;
pub use initializer::Initialized;
pub use job::Job;
pub use map_iter::{MapIter, MapUnordered};
pub use with::With;
