//! What can go wrong in a command, each with a message that says what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::interpreter::Rejection;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub(crate) enum Error {
    /// Not started by cargo, which alone knows where the project is.
    NotUnderCargo,
    /// A file or directory could not be used.
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// A program ended with another status than 0.
    Status { program: String, status: ExitStatus },
    /// No usable interpreter was found, or not the one that was asked for.
    NoInterpreter { rejections: Vec<Rejection> },
    /// maturin left another number of wheels than one.
    Wheels { directory: PathBuf, number: usize },
    /// There is no such benchmark.
    NoBenchmark { name: String, existing: Vec<String> },
    /// A mutant of the models could not be made.
    Mutant { why: &'static str },
    /// Something failed that the command has reported in full already.
    Reported,
}

impl Error {
    /// Wraps an error of the file system: `.map_err(Error::file("read", path))`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderCargo => f.write_str("run this as `cargo xtask`, not by itself"),
            Self::File { action, path, source } => {
                write!(f, "failed to {action} {}: {source}", path.display())
            }
            Self::Start { program, source } => write!(f, "failed to start `{program}`: {source}"),
            Self::Status { program, status } => write!(f, "`{program}` ended with {status}"),
            Self::NoInterpreter { rejections } => {
                f.write_str(
                    "no usable CPython 3.11 or newer: install one (on Debian and Ubuntu, \
                     python3 and python3-venv), or name one in MILLPOND_PYTHON",
                )?;
                rejections.iter().try_for_each(|rejection| write!(f, "\n  {rejection}"))
            }
            Self::Wheels { directory, number } => {
                write!(f, "expected one wheel in {}, found {number}", directory.display())
            }
            Self::NoBenchmark { name, existing } if existing.is_empty() => {
                write!(f, "no benchmark `{name}`: there is none in benchsuite/")
            }
            Self::NoBenchmark { name, existing } => {
                write!(f, "no benchmark `{name}`: there are {}", existing.join(", "))
            }
            Self::Mutant { why } => write!(f, "failed to break the source: {why}"),
            Self::Reported => f.write_str("see above"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } => Some(source),
            _ => None,
        }
    }
}
