//! A pool of worker processes that no death breaks. `README.md` beside this has the protocol.

pub mod commons;
pub mod config;
mod dispatch;
mod function;
pub mod handle;
pub mod job;
mod jobs;
mod lifecycle;
pub mod luggage;
mod member;
mod pause;
mod shared;
mod staged;
mod state;
pub mod stats;
mod supervisor;
pub mod task;
pub mod waiting;
pub mod wire;
pub mod worker;
pub mod zygote;

pub use crate::channel::payload::{self, INLINE_LIMIT};
pub use config::Config;
pub use handle::{Pool, PoolError, WorkerInfo};
pub use waiting::Waited;
