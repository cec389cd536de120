//! The errors of receiving.

use std::io;

use super::packet::Damaged;

/// Why nothing was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The other end is closed everywhere, and all that it had sent was received.
    #[error("the other end of the pipe is closed")]
    Closed,
    /// Something came that no pipe of this engine sends. It is gone; what comes after it is not
    /// affected.
    #[error("{Damaged}")]
    Damaged,
    /// A large message came, but this process has no descriptor or no address space left to take
    /// it. The message is lost.
    #[error(
        "a large message was lost, because this process had no room to map it ({0}): close descriptors \
             or raise the limit"
    )]
    NoRoom(#[source] io::Error),
    /// The system refused.
    #[error("{0}")]
    System(#[source] io::Error),
}

impl From<Damaged> for ReceiveError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}
