//! `Semaphore` and, with a bound, `BoundedSemaphore`.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::semaphore::{MOST_PERMITS, Semaphore};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::acquire::{Acquire, Truth, acquire, refusal};
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

    /// Gives a new one its permits, and as its bound those or, without, the most there can be.
    fn _start(&self, value: i32, is_bounded: bool) -> PyResult<()> {
        let Ok(value) = u32::try_from(value) else {
            let text = format!("a semaphore cannot start with {value} permits");
            return Err(PyOSError::new_err((EINVAL, text)));
        };
        self.0.start(value, if is_bounded { value } else { MOST_PERMITS });
        Ok(())
    }

    #[pyo3(
        signature = (block = Truth(true), timeout = None),
        text_signature = "(self, /, block=True, timeout=None)"
    )]
    fn acquire(
        &self,
        py: Python<'_>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        acquire(py, &*self.0, block, timeout)
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        Acquire::release(&*self.0, py).map_err(refusal)
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        acquire(py, &*self.0, Truth(true), None)
    }

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

    fn get_value(&self) -> u32 {
        self.0.value()
    }

    fn _get_value(&self) -> u32 {
        self.0.value()
    }

    /// How many permits this process is known to hold.
    fn _count(&self) -> u32 {
        self.0.held_here()
    }

    fn _is_mine(&self) -> bool {
        self.0.held_here() > 0
    }

    /// The value beyond which releases are refused.
    fn _bound(&self) -> u32 {
        self.0.bound()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        handle::reduce(slf)
    }

    fn _ticket<'py>(&self, py: Python<'py>, sent: bool) -> Bound<'py, PyBytes> {
        handle::ticket(py, &self.0, sent)
    }

    fn _fd(&self) -> i32 {
        handle::fd(&self.0)
    }

    #[classmethod]
    fn _open<'py>(
        cls: &Bound<'py, PyType>,
        ticket: &Bound<'py, PyBytes>,
        fd: Option<i32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        handle::opened_as(cls, ticket, fd)
    }
}
