//! Pipes: two connected ends that carry whole messages. README.md in this folder is the
//! protocol.

mod bells;
mod blocks;
mod direct;
mod doorbell;
mod end;
mod error;
mod lane;
mod mappings;
mod message;
mod outgoing;
pub mod packet;
mod receive;
mod rings;
mod send;
mod socket;

pub use end::{Arrival, End};
pub use error::ReceiveError;
pub use message::Message;
pub use outgoing::{LARGEST_PACKET, Outgoing};
pub use rings::Rings;

#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod tests;
