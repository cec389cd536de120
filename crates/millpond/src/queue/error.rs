//! What was not put comes back.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, ErrorKind};

/// A value that was not put or sent, and why.
///
/// With `?` it becomes an [`Error`], without the value.
pub struct PutError<T> {
    value: T,
    error: Error,
}

impl<T> PutError<T> {
    pub(crate) fn new(value: T, error: Error) -> Self {
        Self { value, error }
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Why it was not put.
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

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> StdError for PutError<T> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        error.error
    }
}

/// Some values were not put or sent, and why.
///
/// With `?` it becomes an [`Error`].
#[derive(Debug)]
pub struct PutManyError {
    put: usize,
    error: Error,
}

impl PutManyError {
    pub(crate) fn new(put: usize, error: Error) -> Self {
        Self { put, error }
    }

    /// How many values, from the first on, were put.
    #[must_use]
    pub fn put(&self) -> usize {
        self.put
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

impl fmt::Display for PutManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} values)", self.error, self.put)
    }
}

impl StdError for PutManyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl From<PutManyError> for Error {
    fn from(error: PutManyError) -> Self {
        error.error
    }
}
