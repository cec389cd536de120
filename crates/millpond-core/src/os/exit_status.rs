//! How a process ended.

use std::fmt;

/// How a process ended, as far as the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It called `exit`, or returned from `main`, with this code (0–255).
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal's number, such as 9 for `SIGKILL`.
        signal: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// It is gone, but its status was taken by other code, for instance by a `waitpid(-1)`
    /// elsewhere in the program or because `SIGCHLD` is ignored.
    Unknown,
}

impl ExitStatus {
    /// Decodes a status word as `waitpid` fills it in.
    ///
    /// A word that says "stopped" or "continued" is not an end and gives [`Unknown`](Self::Unknown).
    #[must_use]
    pub(crate) fn from_wait(raw: i32) -> Self {
        if libc::WIFEXITED(raw) {
            Self::Exited(libc::WEXITSTATUS(raw))
        } else if libc::WIFSIGNALED(raw) {
            Self::Signaled { signal: libc::WTERMSIG(raw), core_dumped: libc::WCOREDUMP(raw) }
        } else {
            Self::Unknown
        }
    }

    /// The code given to `exit`, if the process ended by itself.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            _ => None,
        }
    }

    /// The signal that ended the process, if one did.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Signaled { signal, .. } => Some(signal),
            _ => None,
        }
    }

    /// Whether the process ended by itself with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signaled { signal, core_dumped } => {
                match signal_name(signal) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {signal}")?,
                }
                if core_dumped { f.write_str(" (core dumped)") } else { Ok(()) }
            }
            Self::Unknown => f.write_str("status unknown"),
        }
    }
}

/// The name of a signal on this platform, such as `SIGKILL` for 9; `None` for one without a name
/// (a real-time signal, or no signal at all).
#[must_use]
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_wait_words() {
        assert_eq!(ExitStatus::from_wait(3 << 8), ExitStatus::Exited(3));
        let killed = ExitStatus::Signaled { signal: libc::SIGKILL, core_dumped: false };
        assert_eq!(ExitStatus::from_wait(libc::SIGKILL), killed);
        let dumped = ExitStatus::Signaled { signal: libc::SIGSEGV, core_dumped: true };
        assert_eq!(ExitStatus::from_wait(libc::SIGSEGV | 0x80), dumped);
        let stopped = (libc::SIGSTOP << 8) | 0x7f;
        assert_eq!(ExitStatus::from_wait(stopped), ExitStatus::Unknown);
    }

    #[test]
    fn says_what_happened() {
        assert_eq!(ExitStatus::Exited(3).to_string(), "exited with code 3");
        assert_eq!(ExitStatus::from_wait(libc::SIGKILL).to_string(), "killed by SIGKILL");
        assert_eq!(
            ExitStatus::from_wait(libc::SIGABRT | 0x80).to_string(),
            "killed by SIGABRT (core dumped)"
        );
        assert_eq!(ExitStatus::from_wait(40).to_string(), "killed by signal 40");
        assert_eq!(ExitStatus::Unknown.to_string(), "status unknown");
    }
}
