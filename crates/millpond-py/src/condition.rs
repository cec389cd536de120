//! `Condition`.
//!
//! A process that holds the guard of the table of waiters may be stopped, so waiting for the guard
//! releases the GIL.

use std::time::Instant;

use millpond_core::shm::shared::Shared;
use millpond_core::sync::condition::{Condition, Notified};
use millpond_core::sync::deadlock::is_sole_user;
use millpond_core::sync::robust::Taken;
use pyo3::exceptions::{PyAssertionError, PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyTuple, PyType};

use crate::acquire::{owner_died, settled};
use crate::deadlock::{WaitFor, Watched};
use crate::lock::PyLock;
use crate::rlock::PyRLock;
use crate::{handle, waiting};

/// A condition over a lock, which its subclass gives it with `_use`.
#[pyclass(name = "Condition", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyCondition {
    condition: Shared<Condition>,
    lock: PyOnceLock<Guard>,
}

/// The lock of a condition.
enum Guard {
    Lock(Py<PyLock>),
    RLock(Py<PyRLock>),
    /// One of the standard library's, which `multiprocessing.synchronize` made.
    Foreign(Py<PyAny>),
}

impl Guard {
    fn new(lock: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(lock) = lock.cast::<PyLock>() {
            return Ok(Self::Lock(lock.clone().unbind()));
        }
        if let Ok(lock) = lock.cast::<PyRLock>() {
            return Ok(Self::RLock(lock.clone().unbind()));
        }
        let knows_owner =
            lock.getattr("_semlock").is_ok_and(|s| s.hasattr("_is_mine").unwrap_or(false));
        if knows_owner && lock.hasattr("acquire")? && lock.hasattr("release")? {
            return Ok(Self::Foreign(lock.clone().unbind()));
        }
        Err(PyTypeError::new_err(format!(
            "a Condition needs a Lock or RLock that processes can share, not {}",
            lock.get_type().fully_qualified_name()?
        )))
    }

    fn is_mine(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Self::Lock(lock) => Ok(lock.get().0.is_mine()),
            Self::RLock(lock) => Ok(lock.get().0.is_mine()),
            Self::Foreign(lock) => {
                lock.bind(py).getattr("_semlock")?.getattr("_is_mine")?.call0()?.extract()
            }
        }
    }

    /// Releases the lock, which the caller holds; how often it held it.
    fn release_all(&self, py: Python<'_>) -> PyResult<u64> {
        match self {
            Self::Lock(lock) => lock.get().release().map(|()| 1),
            Self::RLock(lock) => lock.get().0.release_all().map_err(crate::acquire::refusal),
            Self::Foreign(lock) => {
                let lock = lock.bind(py);
                let count = lock.getattr("_semlock")?.getattr("_count")?.call0()?.extract()?;
                for _ in 0..count {
                    lock.getattr("release")?.call0()?;
                }
                Ok(count)
            }
        }
    }

    /// Acquires the lock as often as it was held, whatever signal handlers raise meanwhile: after
    /// `wait` the caller holds the lock in any case, also when its owner died.
    ///
    /// The error is what was raised first, before this or in it, with the death as its context.
    fn reacquire(&self, py: Python<'_>, count: u64, raised: &mut Option<PyErr>) -> PyResult<()> {
        let taken = match self {
            Self::Lock(lock) => {
                let lock = &*lock.get().0;
                surely(py, raised, |until| settled(lock.acquire(Some(until))))
            }
            Self::RLock(lock) => {
                let lock = &*lock.get().0;
                surely(py, raised, |until| settled(lock.reacquire(count, Some(until))))
            }
            Self::Foreign(lock) => {
                for _ in 0..count {
                    acquire_foreign(lock.bind(py), raised)?;
                }
                Taken::Clean
            }
        };
        let death = match taken {
            Taken::OwnerDied(dead) => Some(owner_died(py, dead, true)),
            _ => None,
        };
        match (raised.take(), death) {
            (None, None) => Ok(()),
            (Some(error), None) | (None, Some(error)) => Err(error),
            (Some(error), Some(death)) => {
                let (raised, death) = (error.value(py), death.into_value(py));
                death.setattr(py, "__context__", raised.getattr("__context__")?)?;
                raised.setattr("__context__", death)?;
                Err(error)
            }
        }
    }
}

/// Calls `turn` as [`waiting::wait`] does, until it has a result; keeps what was raised first.
fn surely<T: Send>(
    py: Python<'_>,
    raised: &mut Option<PyErr>,
    mut turn: impl FnMut(Instant) -> Option<T> + Send,
) -> T {
    loop {
        match waiting::wait(py, None, &mut turn) {
            Ok(Some(result)) => return result,
            Ok(None) => {}
            Err(error) => _ = raised.get_or_insert(error),
        }
    }
}

/// The same for a lock of the standard library. That waits in slices, too: it would sleep over a
/// signal that comes just before it sleeps. It says that the system has failed by an `OSError` and
/// no subclass of it; that is the error.
fn acquire_foreign(lock: &Bound<'_, PyAny>, raised: &mut Option<PyErr>) -> PyResult<()> {
    let py = lock.py();
    loop {
        let attempt = lock.call_method1("acquire", (true, waiting::RECHECK_INTERVAL.as_secs_f64()));
        match attempt.and_then(|acquired| acquired.is_truthy()) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.get_type(py).is(py.get_type::<PyOSError>()) => return Err(error),
            Err(error) => _ = raised.get_or_insert(error),
        }
        if let Err(error) = py.check_signals() {
            raised.get_or_insert(error);
        }
    }
}

impl PyCondition {
    fn guard(&self, py: Python<'_>) -> PyResult<&Guard> {
        let missing = || PyRuntimeError::new_err("Condition.__init__() was not called");
        self.lock.get(py).ok_or_else(missing)
    }
}

#[pymethods]
impl PyCondition {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Ok(Self { condition: handle::made_or_opened(kwargs)?, lock: PyOnceLock::new() })
    }

    /// Give a new condition its lock.
    fn _use(&self, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = self.lock.set(lock.py(), Guard::new(lock)?);
        Ok(())
    }

    /// Release the lock, block until notified, and acquire the lock again.
    ///
    /// A recursive lock is released completely, and acquired again as often as it was held.
    ///
    /// Args:
    ///     timeout: how many seconds to wait at most for the notification; None waits without a
    ///         limit. Acquiring the lock again is not limited.
    ///
    /// Returns:
    ///     True if notified; False if the time ran out.
    ///
    /// Raises:
    ///     AssertionError: the calling thread does not hold the lock.
    ///     Deadlock: no living process can notify the caller, which holds the lock.
    ///     OwnerDied: the process that held the lock meanwhile was killed or failed. The caller
    ///         holds the lock, as always after waiting; another waiter is notified instead.
    ///     ValueError: the timeout is nan.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let guard = self.guard(py)?;
        if !guard.is_mine(py)? {
            return Err(PyAssertionError::new_err("must acquire() condition before using wait()"));
        }
        let deadline = waiting::deadline_of(timeout)?;
        let condition = &*self.condition;
        let place = py.detach(|| condition.register());
        let count = match guard.release_all(py) {
            Ok(count) => count,
            Err(error) => {
                py.detach(|| condition.withdraw(place));
                return Err(error);
            }
        };
        let turn = |until| (condition.wait_a_while(&place, until) == Notified::Yes).then_some(());
        let look = |watched: &mut Watched| {
            watched.look(py, || is_sole_user(condition), || WaitFor::Notification)
        };
        let notified = waiting::wait_watched(py, deadline, turn, look);
        let mut raised = None;
        let place = match notified {
            Ok(_) => Some(place),
            Err(error) => {
                py.detach(|| condition.withdraw(place));
                raised = Some(error);
                None
            }
        };
        let reacquired = guard.reacquire(py, count, &mut raised);
        // Not before the lock is held: should this process die on its way there, its notification
        // is for another.
        match (reacquired, place) {
            (Ok(()), place) => Ok(place.is_some_and(|place| condition.leave(&place))),
            (Err(error), place) => {
                // The caller gets an error, so the notification is for another waiter.
                if let Some(place) = place {
                    py.detach(|| condition.withdraw(place));
                }
                Err(error)
            }
        }
    }

    /// Wake waiters, those first that have waited longest. They run once the lock is released.
    ///
    /// Args:
    ///     n: how many to wake at most.
    ///
    /// Raises:
    ///     AssertionError: the calling thread does not hold the lock.
    #[pyo3(signature = (n = 1))]
    fn notify(&self, py: Python<'_>, n: i64) -> PyResult<()> {
        if !self.guard(py)?.is_mine(py)? {
            return Err(PyAssertionError::new_err("lock is not owned"));
        }
        let condition = &*self.condition;
        py.detach(|| condition.notify(usize::try_from(n).unwrap_or(0)));
        Ok(())
    }

    /// Wake all waiters. They run, one after the other, once the lock is released.
    ///
    /// Raises:
    ///     AssertionError: the calling thread does not hold the lock.
    fn notify_all(&self, py: Python<'_>) -> PyResult<()> {
        self.notify(py, i64::MAX)
    }

    /// Acquire the condition's lock for the `with` statement; return True.
    ///
    /// Raises:
    ///     OwnerDied: as for `Lock.acquire`. The body does not run, and the lock is free again.
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let entered = match self.guard(py)? {
            Guard::Lock(lock) => lock.get().__enter__(py)?,
            Guard::RLock(lock) => lock.get().__enter__(py)?,
            Guard::Foreign(lock) => return lock.bind(py).getattr("__enter__")?.call0(),
        };
        Ok(PyBool::new(py, entered).to_owned().into_any())
    }

    /// Release the condition's lock at the end of a `with` statement.
    #[pyo3(signature = (*args))]
    fn __exit__(&self, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        match self.guard(args.py())? {
            Guard::Lock(lock) => lock.get().release(),
            Guard::RLock(lock) => lock.get().release(),
            Guard::Foreign(lock) => lock.bind(args.py()).call_method1("__exit__", args).map(drop),
        }
    }

    /// Return how many waiters have not been notified yet.
    fn _waiting(&self) -> usize {
        self.condition.waiting()
    }

    /// Return how many waiters were notified and have not returned yet.
    fn _notified(&self) -> usize {
        self.condition.granted()
    }

    /// Return the bytes that another process opens it with: together with `_fd` unless `sent`. None
    /// stands for one process that is being started, which opens it once.
    fn _wire_handle<'py>(&self, py: Python<'py>, sent: Option<bool>) -> Bound<'py, PyBytes> {
        handle::wire_handle(py, &self.condition, sent)
    }

    /// Return the descriptor of its memory.
    fn _fd(&self) -> i32 {
        handle::fd(&self.condition)
    }

    /// Open what a wire handle names.
    #[classmethod]
    fn _open<'py>(
        cls: &Bound<'py, PyType>,
        wire_handle: &Bound<'py, PyBytes>,
        fd: Option<i32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        handle::opened_as(cls, wire_handle, fd)
    }
}
