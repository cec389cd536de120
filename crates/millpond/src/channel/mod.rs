//! Channels: queues with a sending and a receiving end, whose handles are counted, so that each end
//! learns when the other is gone.

mod async_receiver;
mod connection;
mod create;
pub(crate) mod endpoint_ref;
mod receiver;
mod sender;

pub use async_receiver::AsyncReceiver;
pub use connection::{Connection, pipe};
pub use create::{bounded_channel, channel};
pub use receiver::{IntoIter, Receiver};
pub use sender::Sender;
