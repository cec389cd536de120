//! A pool of worker processes that no death breaks. `README.md` beside this has the protocol.

mod admission;
pub mod commons;
pub mod config;
mod crew;
mod dispatch;
mod ears;
mod function;
pub mod handle;
pub mod job;
mod jobs;
pub mod levels;
mod lifecycle;
pub mod luggage;
mod member;
pub mod options;
mod outcomes;
mod pause;
pub mod pending;
mod renewal;
mod shared;
pub mod size;
mod staged;
mod state;
pub mod stats;
mod supervisor;
pub mod task;
mod view;
pub mod waiting;
pub mod wire;
pub mod worker;
pub mod zygote;

pub use crate::channel::payload::{self, INLINE_LIMIT};
pub use config::Config;
pub use handle::{Pool, PoolError};
pub use view::WorkerInfo;
pub use waiting::Waited;
