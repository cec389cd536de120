//! Channels: queues that know who may still send and receive.

mod connection;
mod create;
pub(crate) mod membership;
mod receiver;
mod sender;

pub use connection::{Connection, pipe};
pub use create::{bounded_channel, channel};
pub use receiver::{IntoIter, Receiver};
pub use sender::Sender;
