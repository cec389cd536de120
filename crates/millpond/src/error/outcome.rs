//! The errors of what runs in another process: a process of its own, or a task of a pool.

use std::error::Error as StdError;
use std::ops::Deref;
use std::{fmt, io};

use super::Error;

macro_rules! outcome_error {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Error);

        impl Deref for $name {
            type Target = Error;

            fn deref(&self) -> &Error {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl StdError for $name {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.0.source()
            }
        }

        impl From<Error> for $name {
            fn from(error: Error) -> Self {
                Self(error)
            }
        }

        impl From<$name> for Error {
            fn from(error: $name) -> Self {
                error.0
            }
        }

        impl From<$name> for io::Error {
            fn from(error: $name) -> Self {
                error.0.into()
            }
        }
    };
}

outcome_error! {
    /// Why a [process](crate::spawn()) has no result: an [`Error`], whose methods say what happened
    /// and to whom. With `?` it becomes one.
    JoinError
}

outcome_error! {
    /// Why a task of a [`Pool`](crate::Pool), or a call of one as a whole, has no result: an
    /// [`Error`], whose methods say what happened and to which task. With `?` it becomes one.
    TaskError
}
