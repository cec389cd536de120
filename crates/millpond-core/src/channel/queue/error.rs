//! The errors of putting and taking.

use std::io;

/// Why nothing more was put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The queue was full until the deadline.
    #[error("the queue is full")]
    Full,
    /// There was room at the deadline, but another producer held the guard. A running process
    /// releases it after a few instructions (see [`GUARD_TIMEOUT`](super::GUARD_TIMEOUT)), a
    /// stopped one does not.
    #[error("a process that puts an item does not go on")]
    Busy,
    /// A signal handler ran in this thread. The caller may go on waiting.
    #[error("a signal interrupted the wait for a place")]
    Interrupted,
    /// The queue is closed: no consumer is left.
    #[error("the queue is closed: nobody is left to take items")]
    Closed,
    /// The item is larger than a queue can ever hold.
    #[error("the item is larger than a queue can ever hold")]
    TooLarge,
    /// There is not enough memory or address space now.
    #[error("no memory for the item: {0}")]
    NoMemory(#[source] io::Error),
    /// What another process wrote into the memory of the queue makes no sense.
    #[error("{CORRUPT}")]
    Corrupt,
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The queue was empty until the deadline.
    #[error("the queue is empty")]
    Empty,
    /// There were items at the deadline, but another consumer held the guard. A running process
    /// releases it after a few instructions (see [`GUARD_TIMEOUT`](super::GUARD_TIMEOUT)), a
    /// stopped one does not.
    #[error("a process that takes an item does not go on")]
    Busy,
    /// A signal handler ran in this thread. The caller may go on waiting.
    #[error("a signal interrupted the wait for an item")]
    Interrupted,
    /// The queue is closed and empty: no producer is left.
    #[error("the queue is empty and closed: nobody is left to put")]
    Closed,
    /// The item cannot be mapped now; it stays in the queue.
    #[error("no memory to receive the item: {0}")]
    NoMemory(#[source] io::Error),
    /// What another process wrote into the memory of the queue makes no sense.
    #[error("{CORRUPT}")]
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
