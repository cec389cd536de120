//! The errors of receiving.

use std::{fmt, io};

use super::packet::Damaged;

/// Why nothing was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The other end is closed everywhere, and all that it had sent was received.
    Closed,
    /// Something came that no pipe of this engine sends. It is gone; what comes after it is not
    /// affected.
    Damaged,
    /// A large message came, but this process has no descriptor or no address space left to take
    /// it. The message is lost.
    NoRoom(io::Error),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end of the pipe is closed"),
            Self::Damaged => fmt::Display::fmt(&Damaged, f),
            Self::NoRoom(error) => write!(
                f,
                "a large message was lost, because this process had no room to map it ({error}): \
                 close descriptors or raise the limit"
            ),
            Self::System(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for ReceiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRoom(error) | Self::System(error) => Some(error),
            Self::Closed | Self::Damaged => None,
        }
    }
}

impl From<Damaged> for ReceiveError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}
