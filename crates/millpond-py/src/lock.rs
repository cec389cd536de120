//! `Lock`.

use millpond_core::os::identity::ProcessId;
use millpond_core::shm::shared::Shared;
use millpond_core::sync::lock::Lock;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::acquire::{Truthiness, acquire, refusal};
use crate::handle;

/// A lock that anybody may release.
#[pyclass(name = "Lock", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyLock(pub(crate) Shared<Lock>);

#[pymethods]
impl PyLock {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    /// Acquire the lock, waiting until it is free.
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
        acquire(py, &*self.0, block, timeout)
    }

    /// Release the lock. Any thread of any process may, not only the one that acquired it.
    ///
    /// Raises:
    ///     ValueError: the lock is not held.
    pub(crate) fn release(&self) -> PyResult<()> {
        self.0.release().map_err(refusal)
    }

    /// Acquire the lock as `acquire()` does, for the `with` statement; return True.
    ///
    /// Raises:
    ///     OwnerDied: as for `acquire`. The body does not run, and the lock is free again.
    pub(crate) fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        acquire(py, &*self.0, Truthiness(true), None)
    }

    /// Release the lock at the end of a `with` statement.
    #[pyo3(signature = (_type = None, _value = None, _traceback = None, /))]
    fn __exit__(
        &self,
        _type: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release()
    }

    /// Return whether the calling thread holds the lock.
    fn _is_mine(&self) -> bool {
        self.0.is_mine()
    }

    /// Return how often this process has acquired the lock.
    fn _count(&self) -> u32 {
        u32::from(self.0.holder() == Some(ProcessId::current()))
    }

    /// Return 1 if the lock is free, else 0.
    fn _get_value(&self) -> u32 {
        u32::from(self.0.holder().is_none())
    }

    /// Return how it is pickled: as a handle to the same object.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        handle::reduce(slf)
    }

    /// Return the bytes that another process opens it with: together with `_fd` unless `sent`. None
    /// stands for one process that is being started, which opens it once.
    fn _wire_handle<'py>(&self, py: Python<'py>, sent: Option<bool>) -> Bound<'py, PyBytes> {
        handle::wire_handle(py, &self.0, sent)
    }

    /// Return the descriptor of its memory.
    fn _fd(&self) -> i32 {
        handle::fd(&self.0)
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
