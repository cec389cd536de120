//! What was not sent comes back.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, ErrorKind};

/// A value that was not sent, and why.
///
/// With `?` it becomes an [`Error`], without the value.
pub struct SendError<T> {
    value: T,
    error: Error,
}

impl<T> SendError<T> {
    pub(crate) fn new(value: T, error: Error) -> Self {
        Self { value, error }
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Why it was not sent.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> StdError for SendError<T> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl<T> From<SendError<T>> for Error {
    fn from(error: SendError<T>) -> Self {
        error.error
    }
}

/// Some values were not sent, and why.
///
/// With `?` it becomes an [`Error`].
#[derive(Debug)]
pub struct SendManyError {
    sent: usize,
    error: Error,
}

impl SendManyError {
    pub(crate) fn new(sent: usize, error: Error) -> Self {
        Self { sent, error }
    }

    /// How many values, from the first on, were sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Why the next one was not.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for SendManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} values)", self.error, self.sent)
    }
}

impl StdError for SendManyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl From<SendManyError> for Error {
    fn from(error: SendManyError) -> Self {
        error.error
    }
}
