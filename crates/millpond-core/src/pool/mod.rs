//! A pool of worker processes that no death breaks. `README.md` beside this has the protocol.

mod backoff;
pub mod captured_handles;
pub mod config;
pub mod control_block;
mod dispatch;
mod function;
pub mod handle;
pub mod job;
mod jobs;
mod lifecycle;
mod limit_clock;
mod limits;
pub mod options;
mod outcomes;
mod poller;
mod replacement;
mod shared;
mod staged;
mod state;
pub mod stats;
mod supervisor;
pub mod task;
pub mod tries;
mod view;
pub mod waiting;
pub mod wire;
pub mod worker;
mod worker_handle;
mod workers;
pub mod zygote;

pub use crate::channel::payload::{self, INLINE_LIMIT};
pub use config::Config;
pub use handle::{Pool, PoolError};
pub use view::WorkerInfo;
pub use waiting::Waited;
