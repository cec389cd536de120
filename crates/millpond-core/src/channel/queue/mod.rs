//! The queue: many producers, many consumers, in shared memory. README.md beside this is the protocol.

mod batching;
mod block;
mod control;
mod damage;
mod endpoint_refs;
mod ends;
mod error;
mod fast_path;
mod get;
mod handle;
mod heap;
mod join;
mod layout;
mod memory;
mod position;
mod process_counts;
mod put;
mod readiness_fd;
mod reuse;
mod segment;
mod side;
mod sweep;
mod tasks;
#[cfg(test)]
mod tests;
mod timed_guard;
mod waiters;

pub use ends::End;
pub use error::{GetError, PutError};
pub use get::ReceivedItem;
pub use handle::{Options, Queue};
pub use join::{DoneError, JoinError};
pub use put::{OutgoingItems, PutManyError};
pub use timed_guard::GUARD_TIMEOUT;
