//! What the locks and the semaphores have in common: how they are acquired, and how they refuse.

use std::io;
use std::time::Instant;

use millpond_core::os::identity::ProcessId;
use millpond_core::shm::shared::SharedObject;
use millpond_core::sync::deadlock::is_sole_user;
use millpond_core::sync::lock::Lock;
use millpond_core::sync::outcome::Misuse;
use millpond_core::sync::rlock::RLock;
use millpond_core::sync::robust::Taken;
use millpond_core::sync::semaphore::Semaphore;
use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::deadlock::{WaitFor, Watched};
use crate::once::once;
use crate::os_error::os_error;
use crate::waiting;

/// A lock or a semaphore.
pub(crate) trait Acquire: SharedObject {
    /// Acquires it if it is free.
    fn try_acquire(&self) -> bool;
    fn attempt(&self, py: Python<'_>) -> io::Result<Taken>;
    fn acquire(&self, deadline: Option<Instant>) -> io::Result<Taken>;
    /// Releases it if that does not have to wait.
    fn release_at_once(&self) -> Option<Result<(), Misuse>>;

    fn release(&self, py: Python<'_>) -> Result<(), Misuse>;

    /// What is waited for where it is not free.
    fn awaited(&self) -> WaitFor;
}

macro_rules! acquire {
    ($($type:ident)*) => {$(
        impl Acquire for $type {
            #[inline]
            fn try_acquire(&self) -> bool {
                self.try_acquire()
            }

            fn attempt(&self, _py: Python<'_>) -> io::Result<Taken> {
                Ok(self.attempt())
            }

            fn acquire(&self, deadline: Option<Instant>) -> io::Result<Taken> {
                Ok(self.acquire(deadline))
            }

            #[inline]
            fn release_at_once(&self) -> Option<Result<(), Misuse>> {
                Some(self.release())
            }

            #[inline]
            fn release(&self, _py: Python<'_>) -> Result<(), Misuse> {
                self.release()
            }

            fn awaited(&self) -> WaitFor {
                let other = self.holder().filter(|&holder| holder != ProcessId::current());
                WaitFor::Lock(other.map(ProcessId::pid))
            }
        }
    )*};
}

acquire!(Lock RLock);

/// A process that holds the semaphore's guard may be stopped, so waiting for it releases the GIL.
impl Acquire for Semaphore {
    #[inline]
    fn try_acquire(&self) -> bool {
        self.try_at_once()
    }

    fn attempt(&self, py: Python<'_>) -> io::Result<Taken> {
        Ok(py.detach(|| self.attempt())?)
    }

    fn acquire(&self, deadline: Option<Instant>) -> io::Result<Taken> {
        Ok(self.acquire(deadline)?)
    }

    #[inline]
    fn release_at_once(&self) -> Option<Result<(), Misuse>> {
        self.release_at_once()
    }

    #[inline]
    fn release(&self, py: Python<'_>) -> Result<(), Misuse> {
        self.release_at_once().unwrap_or_else(|| py.detach(|| self.release()))
    }

    fn awaited(&self) -> WaitFor {
        WaitFor::Permit
    }
}

/// A truth value, of an object of any type.
#[derive(Clone, Copy)]
pub(crate) struct Truthiness(pub(crate) bool);

impl<'py> FromPyObject<'_, 'py> for Truthiness {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

/// `acquire(block, timeout)`: whether it was acquired.
#[inline]
pub(crate) fn acquire<A: Acquire>(
    py: Python<'_>,
    what: &A,
    block: Truthiness,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    // The usual case, at no cost but this.
    if timeout.is_none() && what.try_acquire() {
        return Ok(true);
    }
    acquire_slowly(py, what, block.0, timeout)
}

#[cold]
fn acquire_slowly<A: Acquire>(
    py: Python<'_>,
    what: &A,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let deadline = waiting::deadline_of(timeout)?;
    let taken = match what.attempt(py).map_err(os_error)? {
        Taken::TimedOut if block => {
            let turn = |until| what.acquire(Some(until)).map(settled).transpose();
            let look =
                |watched: &mut Watched| watched.look(py, || is_sole_user(what), || what.awaited());
            waiting::wait_watched(py, deadline, turn, look)?.transpose().map_err(os_error)?
        }
        attempted => settled(attempted),
    };
    match taken {
        None => Ok(false),
        Some(Taken::OwnerDied(dead)) => {
            // The error exists before the lock is released: if this process is killed in between,
            // which may be milliseconds the first time, the next caller gets the error.
            let error = owner_died(py, dead, false);
            what.release(py).map_err(refusal)?;
            Err(error)
        }
        Some(_) => Ok(true),
    }
}

/// How a turn ended, unless it is to be tried again.
pub(crate) fn settled(taken: Taken) -> Option<Taken> {
    (!matches!(taken, Taken::TimedOut | Taken::Interrupted)).then_some(taken)
}

/// Why something was not released.
#[cold]
pub(crate) fn refusal(misuse: Misuse) -> PyErr {
    match misuse {
        Misuse::NotOwner => {
            PyAssertionError::new_err("attempt to release recursive lock not owned by thread")
        }
        _ => PyValueError::new_err("semaphore or lock released too many times"),
    }
}

/// The exception that tells of an owner's death; `held` if the caller has its lock now.
#[cold]
pub(crate) fn owner_died(py: Python<'_>, dead: ProcessId, held: bool) -> PyErr {
    static OWNER_DIED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let import = || Ok(py.import("millpond._deaths")?.getattr("owner_died")?.unbind());
    let error = once(py, &OWNER_DIED, import)
        .and_then(|function| function.bind(py).call1((dead.pid(), held)));
    error.map_or_else(|error| error, PyErr::from_value)
}
