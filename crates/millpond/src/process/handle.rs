//! A process that has been started.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use millpond_core::os::exit_status::ExitStatus;
use serde::de::DeserializeOwned;

use super::child::{Child, Outcome};
use super::reaper::WakerSlot;
use super::registry::Registry;
use crate::codec;
use crate::error::{Cause, JoinError, Result};

/// A process that was started and will return an `R`.
///
/// Dropping it neither waits for the process nor ends it; the system's record of the process is
/// cleared away when it ends, by a background thread, so that no zombie stays. What it returns is
/// lost then.
///
/// It is also a [`Future`] of what [`join`](JoinHandle::join) gives, for any executor: a background
/// thread watches the process. And it is a descriptor, readable once the process has ended.
///
/// ```
/// use std::time::Duration;
/// use millpond::ErrorKind;
///
/// fn sleep(seconds: u64) {
///     std::thread::sleep(Duration::from_secs(seconds));
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let mut process = millpond::spawn(sleep, 60)?;
///     let error = process.join_timeout(Duration::from_millis(10)).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
///     assert!(!process.is_finished());
///     process.kill()?;
///     let error = process.join().unwrap_err();
///     assert_eq!(error.signal_name(), Some("SIGKILL"));
///     Ok(())
/// }
/// ```
pub struct JoinHandle<R> {
    child: Child,
    returns: PhantomData<fn() -> R>,
    /// Whether the result was given.
    taken: bool,
    /// Set once it was polled while the process ran.
    waker: Option<WakerSlot>,
}

impl<R> JoinHandle<R> {
    pub(super) fn new(child: Child) -> Self {
        Self { child, returns: PhantomData, taken: false, waker: None }
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
    #[doc(alias = "daemon")]
    pub fn ends_with_parent(&self) -> bool {
        self.child.ends_with_parent()
    }

    /// Whether it has ended, so that [`join`](JoinHandle::join) would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.child.is_finished()
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
    /// As [`terminate`](JoinHandle::terminate).
    pub fn kill(&self) -> Result<()> {
        self.child.kill()
    }

    /// This process among others, whatever they return.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }
}

impl<R: DeserializeOwned + 'static> JoinHandle<R> {
    /// Waits until the process has ended; gives what its function returned.
    ///
    /// A function that returns nothing may also end its process by `exit(0)`.
    ///
    /// # Errors
    /// - [`Panicked`](crate::ErrorKind::Panicked): the function panicked.
    /// - [`Crashed`](crate::ErrorKind::Crashed): the process was killed, or called `exit`.
    /// - [`Codec`](crate::ErrorKind::Codec): the input or the result could not be encoded or
    ///   decoded.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one that
    ///   started it.
    /// - [`BuildMismatch`](crate::ErrorKind::BuildMismatch): the child found itself to be another
    ///   build of the program.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): [`join_timeout`](JoinHandle::join_timeout)
    ///   has given the result already.
    /// - [`Io`](crate::ErrorKind::Io): memory has run out for the result.
    pub fn join(mut self) -> Result<R, JoinError> {
        self.child.wait(None)?;
        self.result()
    }

    /// As [`join`](JoinHandle::join), but waits for so long at most.
    ///
    /// # Errors
    /// As [`join`](JoinHandle::join), and [`TimedOut`](crate::ErrorKind::TimedOut) if the process
    /// still runs after that time. It goes on running, and can be waited for again.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<R, JoinError> {
        self.child.wait(Some(timeout))?;
        self.result()
    }

    /// What came of it, when it has ended.
    fn result(&mut self) -> Result<R, JoinError> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(self.child.error(Cause::taken()).into());
        }
        let result = match self.child.outcome()? {
            Outcome::Returned(result) => codec::decode(Cow::Owned(result))
                .map_err(|error| self.child.error(Cause::Codec(error))),
            Outcome::Left => {
                let mut nothing = Some(());
                let nothing: &mut dyn Any = &mut nothing;
                let nothing = nothing.downcast_mut::<Option<R>>().and_then(Option::take);
                nothing.ok_or_else(|| self.child.error(Cause::Crashed(ExitStatus::Exited(0))))
            }
        };
        Ok(result?)
    }
}

impl<R: DeserializeOwned + 'static> Future for JoinHandle<R> {
    type Output = Result<R, JoinError>;

    /// Once it was ready, it is ready with an error of the kind
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.child.is_own() || self.taken {
            let failed = self.child.wait(Some(Duration::ZERO)).err().map(JoinError::from);
            return Poll::Ready(failed.map_or_else(|| self.result(), Err));
        }
        if let Some(slot) = &self.waker {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            // Looked at after the waker was left, so one of the two sees the end.
            return if self.child.is_alive() { Poll::Pending } else { Poll::Ready(self.result()) };
        }
        if !self.child.is_alive() {
            return Poll::Ready(self.result());
        }
        let slot = WakerSlot::new(Mutex::new(Some(context.waker().clone())));
        match Registry::current().reaper() {
            Ok(reaper) => reaper.wake(self.child.clone(), WakerSlot::clone(&slot)),
            Err(source) => {
                let what = "be watched: the thread for that could not start";
                return Poll::Ready(Err(self.child.error(Cause::Io { what, source }).into()));
            }
        }
        self.waker = Some(slot);
        Poll::Pending
    }
}

impl<R> Drop for JoinHandle<R> {
    fn drop(&mut self) {
        Registry::abandon(&self.child);
    }
}

impl<R> AsFd for JoinHandle<R> {
    /// A descriptor that is readable once the process has ended, for an event loop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("ends_with_parent", &self.ends_with_parent())
            .field("returns", &type_name::<R>())
            .field("exit_status", &self.exit_status())
            .finish()
    }
}
