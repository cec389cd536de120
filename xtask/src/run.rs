//! Running programs, and saying which.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Error, Result};

pub(crate) trait Run {
    /// Runs the program to its end, its output being the caller's.
    fn status_of(&mut self) -> Result<ExitStatus>;

    /// Like `status_of`; any status but 0 is an error.
    fn run(&mut self) -> Result<()>;

    /// Like `run`; what the program writes is shown only if it fails.
    fn run_quietly(&mut self) -> Result<()>;

    /// Like `status_of`, with what the program has written to its standard output, which is the
    /// caller's too once the program has ended.
    fn output_of(&mut self) -> Result<(ExitStatus, String)>;

    /// The command line, for a message.
    fn line(&self) -> String;
}

impl Run for Command {
    fn status_of(&mut self) -> Result<ExitStatus> {
        self.status().map_err(|source| Error::Start { program: self.line(), source })
    }

    fn run(&mut self) -> Result<()> {
        let status = self.status_of()?;
        if status.success() { Ok(()) } else { Err(Error::Status { program: self.line(), status }) }
    }

    fn run_quietly(&mut self) -> Result<()> {
        let output =
            self.output().map_err(|source| Error::Start { program: self.line(), source })?;
        if output.status.success() {
            return Ok(());
        }
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Err(Error::Status { program: self.line(), status: output.status })
    }

    fn output_of(&mut self) -> Result<(ExitStatus, String)> {
        let output = self
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| Error::Start { program: self.line(), source })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{text}");
        Ok((output.status, text))
    }

    fn line(&self) -> String {
        let words: Vec<_> = [self.get_program()]
            .into_iter()
            .chain(self.get_args())
            .map(OsStr::to_string_lossy)
            .collect();
        words.join(" ")
    }
}

/// Tells the user what is being done.
pub(crate) fn say(message: impl std::fmt::Display) {
    eprintln!("xtask: {message}");
}
