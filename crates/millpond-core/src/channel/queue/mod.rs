//! The queue: many producers, many consumers, in shared memory. README.md beside this is the protocol.

mod block;
mod control;
#[cfg(feature = "testing")]
mod damage;
mod ends;
mod error;
mod gathering;
mod get;
mod grace;
mod handle;
mod heap;
mod join;
mod layout;
mod members;
mod memory;
mod position;
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

pub use ends::End;
pub use error::{GetError, PutError};
pub use get::Received;
pub use grace::GRACE;
pub use handle::{Options, Queue};
pub use join::{DoneError, JoinError};
pub use put::{Outgoing, PutManyError};
