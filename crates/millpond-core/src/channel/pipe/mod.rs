//! Pipes: two connected ends that carry whole messages. README.md in this folder is the
//! protocol.

mod blocks;
mod end;
mod error;
mod mappings;
mod message;
mod outgoing;
pub mod packet;

pub use end::{Arrival, End};
pub use error::ReceiveError;
pub use message::Message;
pub use outgoing::{LARGEST_PACKET, Outgoing};

#[cfg(test)]
mod tests;
