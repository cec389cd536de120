//! The errors of putting and taking.

use std::fmt;
use std::io;

/// Why nothing more was put.
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError {
    /// The queue was full until the deadline.
    Full,
    /// There was room at the deadline, but another producer held the guard. A running process
    /// releases it after a few instructions (see [`GUARD_TIMEOUT`](super::GUARD_TIMEOUT)), a
    /// stopped one does not.
    Busy,
    /// A signal handler ran in this thread. The caller may go on waiting.
    Interrupted,
    /// The queue is closed: no consumer is left.
    Closed,
    /// The item is larger than a queue can ever hold.
    TooLarge,
    /// There is not enough memory or address space now.
    NoMemory(io::Error),
    /// What another process wrote into the memory of the queue makes no sense.
    Corrupt,
}

/// Why nothing was taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The queue was empty until the deadline.
    Empty,
    /// There were items at the deadline, but another consumer held the guard. A running process
    /// releases it after a few instructions (see [`GUARD_TIMEOUT`](super::GUARD_TIMEOUT)), a
    /// stopped one does not.
    Busy,
    /// A signal handler ran in this thread. The caller may go on waiting.
    Interrupted,
    /// The queue is closed and empty: no producer is left.
    Closed,
    /// The item cannot be mapped now; it stays in the queue.
    NoMemory(io::Error),
    /// What another process wrote into the memory of the queue makes no sense.
    Corrupt,
}

/// What is wrong with memory that another process may have written, or with the system.
#[derive(Debug)]
pub(super) enum Fault {
    TooLarge,
    /// The heap's guard was held until the deadline.
    Busy,
    /// A signal handler ran.
    Interrupted,
    NoMemory(io::Error),
    Corrupt,
}

const CORRUPT: &str = "the memory of the queue is damaged: some process wrote over it";

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::Busy => f.write_str("a process that puts an item does not go on"),
            Self::Interrupted => f.write_str("a signal interrupted the wait for a place"),
            Self::Closed => f.write_str("the queue is closed: nobody is left to take items"),
            Self::TooLarge => f.write_str("the item is larger than a queue can ever hold"),
            Self::NoMemory(error) => write!(f, "no memory for the item: {error}"),
            Self::Corrupt => f.write_str(CORRUPT),
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::Busy => f.write_str("a process that takes an item does not go on"),
            Self::Interrupted => f.write_str("a signal interrupted the wait for an item"),
            Self::Closed => f.write_str("the queue is empty and closed: nobody is left to put"),
            Self::NoMemory(error) => write!(f, "no memory to receive the item: {error}"),
            Self::Corrupt => f.write_str(CORRUPT),
        }
    }
}

impl std::error::Error for PutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoMemory(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for GetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoMemory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Fault> for PutError {
    fn from(trouble: Fault) -> Self {
        match trouble {
            Fault::TooLarge => Self::TooLarge,
            Fault::Busy => Self::Busy,
            Fault::Interrupted => Self::Interrupted,
            Fault::NoMemory(error) => Self::NoMemory(error),
            Fault::Corrupt => Self::Corrupt,
        }
    }
}

impl From<Fault> for GetError {
    fn from(trouble: Fault) -> Self {
        match trouble {
            Fault::NoMemory(error) => Self::NoMemory(error),
            Fault::Busy => Self::Busy,
            Fault::Interrupted => Self::Interrupted,
            Fault::TooLarge | Fault::Corrupt => Self::Corrupt,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::NoMemory(error)
    }
}
