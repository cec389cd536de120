//! The queue: many producers, many consumers, in shared memory. README.md beside this is the protocol.

mod block;
mod control;
mod damage;
mod error;
mod gathering;
mod get;
mod grace;
mod handle;
mod heap;
mod layout;
mod members;
mod memory;
mod put;
mod reuse;
mod segment;
mod side;
mod single;
mod sweep;
mod tally;
mod tasks;
#[cfg(test)]
mod tests;
mod token;
mod waiters;

pub use block::Block;
pub use error::{GetError, PutError};
pub use get::Received;
pub use grace::GRACE;
pub use handle::{Options, Queue};
pub use members::End;
pub use put::{INLINE_LIMIT, Outgoing, PutManyError};
pub use tasks::{DoneError, JoinError};
