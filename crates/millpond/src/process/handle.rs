//! A process that has been started.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use millpond_core::os::exit_status::ExitStatus;
use serde::de::DeserializeOwned;

use super::child::{Child, Outcome};
use super::registry::Registry;
use crate::codec;
use crate::error::{Cause, Result};

/// A process that was started and will return an `R`.
///
/// It can be shared between threads. Dropping it neither waits for the process nor ends it; the
/// system's record of it is cleared away when it ends, by a background thread, so that no zombie
/// stays. What it returns is lost then.
///
/// ```
/// use std::time::Duration;
/// use millpond::{ErrorKind, Process};
///
/// fn sleep(seconds: u64) {
///     std::thread::sleep(Duration::from_secs(seconds));
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let process = Process::new(sleep).arg(60).start()?;
///     let error = process.join_timeout(Duration::from_millis(10)).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
///     assert!(process.is_alive());
///     process.kill()?;
///     let error = process.join().unwrap_err();
///     assert_eq!(error.signal_name(), Some("SIGKILL"));
///     assert!(!process.is_alive());
///     Ok(())
/// }
/// ```
pub struct ProcessHandle<R> {
    child: Child,
    returns: PhantomData<fn() -> R>,
}

impl<R> ProcessHandle<R> {
    pub(super) fn new(child: Child) -> Self {
        Self { child, returns: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.child.name()
    }

    /// Its pid. When it has ended and was reaped, another process may get this number; the methods
    /// of this type never mean that one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Whether it ends with this process.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.child.daemon()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.child.is_alive()
    }

    /// How it ended; `None` while it runs, and in a `fork` of the process that started it.
    ///
    /// A function that returns ends its process with code 0, one that panics with code 101 (or
    /// `SIGABRT`, in a program that is built with `panic = "abort"`).
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child.exit_status()
    }

    /// Asks it to end, by `SIGTERM`, which a process that does not handle it does at once. Does
    /// nothing if it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system refuses, for instance because the
    /// child has become another user.
    pub fn terminate(&self) -> Result<()> {
        self.child.terminate()
    }

    /// Ends it at once, by `SIGKILL`. Does nothing if it has ended.
    ///
    /// # Errors
    /// As [`terminate`](ProcessHandle::terminate).
    pub fn kill(&self) -> Result<()> {
        self.child.kill()
    }

    /// This process among others, whatever they return.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }
}

impl<R: DeserializeOwned + 'static> ProcessHandle<R> {
    /// Waits until the process has ended; gives what its function returned.
    ///
    /// Joining again gives the same again, as a value of its own. A function that returns nothing
    /// may also end its process by `exit(0)`.
    ///
    /// # Errors
    /// - [`Panicked`](crate::ErrorKind::Panicked): the function panicked.
    /// - [`Crashed`](crate::ErrorKind::Crashed): the process was killed, or called `exit`.
    /// - [`Codec`](crate::ErrorKind::Codec): an argument or the result could not be encoded or
    ///   decoded.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one that
    ///   started it.
    /// - [`BuildMismatch`](crate::ErrorKind::BuildMismatch): the child found itself to be another
    ///   build of the program.
    /// - [`Io`](crate::ErrorKind::Io): memory has run out for the result.
    pub fn join(&self) -> Result<R> {
        self.child.wait(None)?;
        self.result()
    }

    /// As [`join`](ProcessHandle::join), but waits for so long at most.
    ///
    /// # Errors
    /// As [`join`](ProcessHandle::join), and [`TimedOut`](crate::ErrorKind::TimedOut) if the
    /// process still runs after that time. It goes on running.
    pub fn join_timeout(&self, timeout: Duration) -> Result<R> {
        self.child.wait(Some(timeout))?;
        self.result()
    }

    fn result(&self) -> Result<R> {
        match self.child.outcome()? {
            Outcome::Returned(result) => codec::decode(Cow::Owned(result))
                .map_err(|error| self.child.error(Cause::Codec(error))),
            Outcome::Left => {
                let mut nothing = Some(());
                let nothing: &mut dyn Any = &mut nothing;
                let nothing = nothing.downcast_mut::<Option<R>>().and_then(Option::take);
                nothing.ok_or_else(|| self.child.error(Cause::Crashed(ExitStatus::Exited(0))))
            }
        }
    }
}

impl<R> Drop for ProcessHandle<R> {
    fn drop(&mut self) {
        Registry::abandon(&self.child);
    }
}

impl<R> AsFd for ProcessHandle<R> {
    /// A descriptor that is readable once the process has ended, for an event loop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}

impl<R> fmt::Debug for ProcessHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("daemon", &self.daemon())
            .field("returns", &type_name::<R>())
            .field("exit_status", &self.exit_status())
            .finish()
    }
}
