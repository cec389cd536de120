//! Pipes: two connected ends that carry whole messages. README.md in this folder is the
//! protocol.

mod blocks;
mod direction;
mod end;
mod error;
mod mappings;
mod message;
mod notifications;
mod outgoing;
pub mod packet;
mod readiness;
mod receive;
mod rings;
mod send;
mod socket;
mod socket_only;

pub use end::{End, Incoming};
pub use error::ReceiveError;
pub use message::Message;
pub use outgoing::{LARGEST_PACKET, OutgoingMessage};
pub use rings::Rings;

#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod tests;
