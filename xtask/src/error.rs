//! What can go wrong in a command, each with a message that says what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::root::Lack;

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
    NoInterpreter { rejections: Vec<String> },
    /// A supported interpreter is neither installed nor in the root.
    Absent { minor: u32 },
    /// This machine cannot have the root of interpreters.
    NoRoot(Lack),
    /// Something is mounted in a directory that is to be removed.
    Mounted { point: PathBuf },
    /// A directory has another number of things that were built than one.
    Builds { directory: PathBuf, number: usize },
    /// There is no such benchmark.
    NoBenchmark { name: String, existing: Vec<String> },
    /// A file is not Rust.
    Parse { path: PathBuf, source: syn::Error },
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
            Self::Absent { minor } => write!(
                f,
                "CPython 3.{minor} is absent: `cargo xtask interpreters` makes a root with the \
                 newest releases; pyenv and python3.{minor} on PATH are found too"
            ),
            Self::NoRoot(lack) => write!(
                f,
                "the root of newer interpreters cannot be made: {lack}; everything runs with the \
                 interpreters that are installed"
            ),
            Self::Mounted { point } => write!(
                f,
                "something is mounted on {}: unmount it, so that removing the directory does not \
                 empty it",
                point.display()
            ),
            Self::Builds { directory, number } => {
                write!(f, "expected one file in {}, found {number}", directory.display())
            }
            Self::NoBenchmark { name, existing } if existing.is_empty() => {
                write!(f, "no benchmark `{name}`: there is none in benchsuite/")
            }
            Self::NoBenchmark { name, existing } => {
                write!(f, "no benchmark `{name}`: there are {}", existing.join(", "))
            }
            Self::Parse { path, source } => {
                write!(f, "failed to parse {}: {source}", path.display())
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
            Self::Parse { source, .. } => Some(source),
            _ => None,
        }
    }
}
