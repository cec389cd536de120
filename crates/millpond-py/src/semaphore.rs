//! `Semaphore` and, with a bound, `BoundedSemaphore`.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::semaphore::{MAX_PERMITS, Semaphore};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::acquire::{Acquire, Truthiness, acquire, refusal};
use crate::handle;

/// A number of permits.
#[pyclass(name = "Semaphore", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PySemaphore(pub(crate) Shared<Semaphore>);

const EINVAL: i32 = 22;

#[pymethods]
impl PySemaphore {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    /// Give a new semaphore its permits, and a bound: as many, or the most there can be.
    fn _start(&self, value: i32, is_bounded: bool) -> PyResult<()> {
        let Ok(value) = u32::try_from(value) else {
            let text = format!("a semaphore cannot start with {value} permits");
            return Err(PyOSError::new_err((EINVAL, text)));
        };
        self.0.start(value, if is_bounded { value } else { MAX_PERMITS });
        Ok(())
    }

    /// Acquire a permit, waiting until there is one.
    ///
    /// Args:
    ///     block: whether to wait. False takes a permit only if there is one now.
    ///     timeout: how many seconds to wait at most; None waits without a limit, and a negative
    ///         number does not wait.
    ///
    /// Returns:
    ///     True if a permit was acquired; False if there was none, or none within the timeout.
    ///
    /// Raises:
    ///     ValueError: the timeout is nan.
    ///     OSError: 2,045 processes hold permits, and no more can be told apart (EDQUOT).
    ///     MemoryError: there is no memory to note that this process holds a permit.
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

    /// Add a permit, and wake one waiter. Any process may, also one that acquired none.
    ///
    /// Raises:
    ///     ValueError: there would be more permits than the semaphore may have: the initial value
    ///         of a `BoundedSemaphore`, 2**31 - 1 of a `Semaphore`.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        Acquire::release(&*self.0, py).map_err(refusal)
    }

    /// Acquire a permit as `acquire()` does, for the `with` statement; return True.
    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        acquire(py, &*self.0, Truthiness(true), None)
    }

    /// Release the permit at the end of a `with` statement.
    #[pyo3(signature = (_type = None, _value = None, _traceback = None, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _type: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release(py)
    }

    /// Return the current number of free permits, which others may change at any time.
    fn get_value(&self) -> u32 {
        self.0.value()
    }

    /// Return the current number of free permits.
    fn _get_value(&self) -> u32 {
        self.0.value()
    }

    /// Return how many permits this process is known to hold.
    fn _count(&self) -> u32 {
        self.0.held_here()
    }

    /// Return whether this process is known to hold a permit.
    fn _is_mine(&self) -> bool {
        self.0.held_here() > 0
    }

    /// Return the largest number of permits that the semaphore may have.
    fn _bound(&self) -> u32 {
        self.0.bound()
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
