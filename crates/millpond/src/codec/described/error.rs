//! What goes wrong with a described value, and where in it.

use std::fmt::{self, Display};

use serde::{de, ser};

/// A message, and the way from the value to the part of it that is meant.
#[derive(Debug)]
pub(in crate::codec) struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    /// From the inside out.
    path: Vec<Step>,
}

/// A step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the field of a struct, or the variant of an enum.
    Name(String),
    /// To an item of a list or a tuple.
    Index(usize),
    /// To the value of a key, as text.
    Key(String),
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, "[{key}]"),
        }
    }
}

impl Error {
    #[cold]
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Inner { message: message.into(), path: Vec::new() }))
    }

    #[cold]
    pub(super) fn ends_early() -> Self {
        Self::new("the bytes end too early")
    }

    #[cold]
    pub(super) fn damaged() -> Self {
        Self::new("the bytes are damaged")
    }

    #[cold]
    pub(super) fn too_deep(limit: u32) -> Self {
        Self::new(format!("its parts lie more than {limit} deep in each other"))
    }

    /// The error of a part that is this step away.
    #[cold]
    pub(super) fn at(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    pub(super) fn in_name(self, name: &str) -> Self {
        self.at(Step::Name(name.to_owned()))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, path } = &*self.0;
        if path.is_empty() {
            return f.write_str(message);
        }
        let steps: String = path.iter().rev().map(Step::to_string).collect();
        write!(f, "at `{}`: {message}", steps.strip_prefix('.').unwrap_or(&steps))
    }
}

impl std::error::Error for Error {}

impl ser::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}
