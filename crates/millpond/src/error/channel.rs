//! The errors of channels and queues.

use std::error::Error as StdError;
use std::fmt;

use super::{Cause, Error, ErrorKind, Result};

/// Why a value could not be received. That a channel has ended is no error: it is `None`, so that
/// a loop that ends with the channel does not take a failure for the end.
///
/// With `?` it becomes an [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// A value came that cannot be decoded, and is lost. Others may follow.
    Decode(Error),
    /// Nothing can come any more: every other process that had the object has ended, and this one
    /// has no other thread.
    Deadlock(Error),
    /// The value cannot be mapped here, and stays, or the memory is damaged.
    Failed(Error),
}

/// Why a value could not be received at once; see [`RecvError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is none at this moment.
    Empty,
    /// There was one, or nothing can be had.
    Failed(RecvError),
}

/// Why a value could not be received in time; see [`RecvError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// None came in time. It may still come.
    Timeout,
    /// There was one, or nothing can be had.
    Failed(RecvError),
}

impl RecvError {
    fn error(&self) -> &Error {
        let (Self::Decode(error) | Self::Deadlock(error) | Self::Failed(error)) = self;
        error
    }

    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error().kind()
    }
}

impl TryRecvError {
    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty => ErrorKind::Empty,
            Self::Failed(error) => error.kind(),
        }
    }
}

impl RecvTimeoutError {
    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::TimedOut,
            Self::Failed(error) => error.kind(),
        }
    }
}

impl From<Error> for RecvError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Codec => Self::Decode(error),
            ErrorKind::Deadlock => Self::Deadlock(error),
            _ => Self::Failed(error),
        }
    }
}

impl From<Error> for TryRecvError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Empty => Self::Empty,
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<Error> for RecvTimeoutError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<RecvError> for Error {
    fn from(error: RecvError) -> Self {
        let (RecvError::Decode(error) | RecvError::Deadlock(error) | RecvError::Failed(error)) =
            error;
        error
    }
}

impl From<TryRecvError> for Error {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Cause::Empty.into(),
            TryRecvError::Failed(error) => error.into(),
        }
    }
}

impl From<RecvTimeoutError> for Error {
    fn from(error: RecvTimeoutError) -> Self {
        match error {
            RecvTimeoutError::Timeout => Cause::NothingInTime.into(),
            RecvTimeoutError::Failed(error) => error.into(),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error(), f)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Cause::Empty.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => Cause::NothingInTime.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl StdError for RecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().source()
    }
}

impl StdError for TryRecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Empty => None,
            Self::Failed(error) => error.source(),
        }
    }
}

impl StdError for RecvTimeoutError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Timeout => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// The end of a channel as `None`.
#[inline]
pub(crate) fn until_end<T, E: From<Error>>(received: Result<T>) -> Result<Option<T>, E> {
    match received {
        Ok(value) => Ok(Some(value)),
        Err(error) => ended(error),
    }
}

#[cold]
fn ended<T, E: From<Error>>(error: Error) -> Result<Option<T>, E> {
    match error.kind() {
        ErrorKind::Disconnected => Ok(None),
        _ => Err(error.into()),
    }
}
