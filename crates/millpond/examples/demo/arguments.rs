//! The command line.

use std::fmt;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Analyse every source file of Python's standard library: serially, then in a pool.

In the middle of the pool's run one worker is killed. The pool reports what was lost, this program
asks for it again, and in the end the results of both runs are the same.

Usage: demo [OPTIONS]

Options:
  --workers N      processes in the pool (default: one for each processor)
  --timeline PATH  write a picture of the pool's run to this HTML or SVG file
  --source DIR     analyse the files in this directory (default: the standard library of python3)
  --no-kill        let all workers live
  --help           print this
";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) workers: Option<usize>,
    pub(crate) timeline: Option<PathBuf>,
    pub(crate) source: Option<PathBuf>,
    pub(crate) kill: bool,
    pub(crate) help: bool,
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentError {
    Unknown(String),
    NoValue(&'static str),
    NotANumber(String),
}

impl Arguments {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// For an option that there is not, lacks its value, or has one that makes no sense.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Self, ArgumentError> {
        let mut parsed =
            Self { workers: None, timeline: None, source: None, kill: true, help: false };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |name| arguments.next().ok_or(ArgumentError::NoValue(name));
            match argument.as_str() {
                "--workers" => {
                    let text = value("--workers")?;
                    let number = text.parse().ok().filter(|&number| number > 0);
                    parsed.workers = Some(number.ok_or(ArgumentError::NotANumber(text))?);
                }
                "--timeline" => parsed.timeline = Some(value("--timeline")?.into()),
                "--source" => parsed.source = Some(value("--source")?.into()),
                "--no-kill" => parsed.kill = false,
                "--help" | "-h" => parsed.help = true,
                _ => return Err(ArgumentError::Unknown(argument)),
            }
        }
        Ok(parsed)
    }
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(argument) => write!(f, "unknown argument {argument:?}; see --help"),
            Self::NoValue(name) => write!(f, "{name} needs a value; see --help"),
            Self::NotANumber(text) => write!(f, "--workers must be at least 1, not {text:?}"),
        }
    }
}

impl std::error::Error for ArgumentError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ArgumentError> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let arguments = parse("--workers 3 --no-kill --timeline a.svg --source b").expect("fine");
        assert_eq!((arguments.workers, arguments.kill), (Some(3), false));
        assert_eq!(arguments.timeline, Some("a.svg".into()));
        assert_eq!(arguments.source, Some("b".into()));
        assert!(parse("").expect("fine").kill);
    }

    #[test]
    fn mistakes_are_explained() {
        let message = |line| parse(line).expect_err("a mistake").to_string();
        assert_eq!(message("--workers 0"), "--workers must be at least 1, not \"0\"");
        assert_eq!(message("--source"), "--source needs a value; see --help");
        assert_eq!(message("--wokers 1"), "unknown argument \"--wokers\"; see --help");
    }
}
