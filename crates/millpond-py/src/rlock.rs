//! `RLock`.

use millpond_core::os::identity::ProcessId;
use millpond_core::shm::shared::Shared;
use millpond_core::sync::rlock::RLock;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::acquire::{self, Truthiness, refusal};
use crate::handle;

/// A lock that its owner may acquire again, and nobody else release.
#[pyclass(name = "RLock", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyRLock(pub(crate) Shared<RLock>);

#[pymethods]
impl PyRLock {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    /// Acquire the lock, waiting until it is free.
    ///
    /// A thread that holds the lock already acquires it once more and has to release it as often.
    ///
    /// Args:
    ///     block: whether to wait. False takes the lock only if it is free now.
    ///     timeout: how many seconds to wait at most; None waits without a limit, and a negative
    ///         number does not wait.
    ///
    /// Returns:
    ///     True if the lock was acquired; False if it was not free, or not within the timeout.
    ///
    /// Raises:
    ///     OwnerDied: the process that held the lock was killed or failed. The lock is free again;
    ///         what it guards may be half changed. One call raises this, once for each death.
    ///     ValueError: the timeout is nan.
    #[pyo3(
        signature = (block = Truthiness(true), timeout = None),
        text_signature = "(self, /, block=True, timeout=None)"
    )]
    fn acquire(
        &self,
        py: Python<'_>,
        block: Truthiness,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        acquire::acquire(py, &*self.0, block, timeout)
    }

    /// Release the lock; it becomes free with the last release of as many as it was acquired.
    ///
    /// Raises:
    ///     AssertionError: the calling thread does not hold the lock.
    pub(crate) fn release(&self) -> PyResult<()> {
        self.0.release().map_err(refusal)
    }

    /// Return how often this process has acquired the lock.
    fn _count(&self) -> u64 {
        if self.0.holder() == Some(ProcessId::current()) { self.0.count() } else { 0 }
    }
}

handle::handle_class!(PyRLock, 0, pickled);
acquire::with_statement!(PyRLock);
