//! Any error, as a value that travels.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Any error, told in text, so that it can be what a function in another process returns.
///
/// With `?` every [`std::error::Error`] becomes one; it keeps the messages of the error and of its
/// [sources](StdError::source), each once, and the name of its type. It is to processes what `anyhow::Error`
/// is to threads, and like that no `Error` itself; it becomes a `Box<dyn Error>` or a
/// [`millpond::Error`](crate::Error) with `?`.
///
/// ```
/// use millpond::Failure;
///
/// fn number_in(text: String) -> Result<u64, Failure> {
///     if text.is_empty() {
///         return Err(Failure::new("there is no text"));
///     }
///     Ok(text.trim().parse()?)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     millpond::init();
///     let pool = millpond::Pool::new(2)?;
///     assert_eq!(pool.spawn(number_in, " 12".to_owned()).join()??, 12);
///     let failure = pool.spawn(number_in, "x".to_owned()).join()?.unwrap_err();
///     assert_eq!(failure.to_string(), "invalid digit found in string");
///     assert_eq!(failure.type_name(), "core::num::error::ParseIntError");
///     Ok(())
/// }
/// ```
///
/// With `{:#}` it is shown with its sources in one line, with `{:?}` in several.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    type_name: String,
    message: String,
    /// Of the sources, the nearest first.
    causes: Vec<String>,
}

impl Failure {
    /// A failure with this message; `{:#}` of an `anyhow::Error` has its sources.
    pub fn new<M: fmt::Display>(message: M) -> Self {
        let type_name = std::any::type_name::<M>().to_owned();
        Self { type_name, message: format!("{message:#}"), causes: Vec::new() }
    }

    /// What was to be done when it came; the message so far is its source then.
    #[must_use]
    pub fn context(mut self, message: impl fmt::Display) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.message, message.to_string()));
        self
    }

    /// The path of the type of the error that it was made of.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The messages, the outermost first, then those of its sources.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        [&self.message].into_iter().chain(&self.causes).map(String::as_str)
    }
}

impl<E: StdError> From<E> for Failure {
    fn from(error: E) -> Self {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many an error has the message of its source in its own.
            if !causes.last().unwrap_or(&message).ends_with(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        let type_name = std::any::type_name::<E>().to_owned();
        Self { type_name, message, causes }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.causes.is_empty() {
            f.write_str("\n\nCaused by:")?;
        }
        self.causes.iter().try_for_each(|cause| write!(f, "\n    {cause}"))
    }
}

/// A [`Failure`] as an error with sources.
pub(crate) struct Link {
    message: String,
    source: Option<Box<Link>>,
}

impl Link {
    pub(crate) fn of(failure: Failure) -> Self {
        let wrap = |source, message| Some(Box::new(Self { message, source }));
        let source = failure.causes.into_iter().rev().fold(None, wrap);
        Self { message: failure.message, source }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.source.iter().try_for_each(|source| write!(f, ": {source:?}"))
    }
}

impl StdError for Link {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Failure> for Box<dyn StdError + Send + Sync> {
    fn from(failure: Failure) -> Self {
        Box::new(Link::of(failure))
    }
}

impl From<Failure> for Box<dyn StdError> {
    fn from(failure: Failure) -> Self {
        Box::new(Link::of(failure))
    }
}
