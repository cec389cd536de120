//! Queues: many producers and many consumers, in any processes.

mod error;
mod handle;
mod iter;
mod message;
mod scratch;
pub(crate) mod transfer;
pub(crate) mod turns;
pub(crate) mod unread;

pub use error::{SendError, SendManyError};
pub use handle::Queue;
pub(crate) use handle::checked;
pub use iter::{Iter, TryIter};
