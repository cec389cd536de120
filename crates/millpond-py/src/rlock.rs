//! `RLock`.

use millpond_core::os::identity::ProcessId;
use millpond_core::shm::shared::Shared;
use millpond_core::sync::rlock::RLock;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::acquire::{Truth, acquire, refusal};
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

    pub(crate) fn release(&self) -> PyResult<()> {
        self.0.release().map_err(refusal)
    }

    pub(crate) fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        acquire(py, &*self.0, Truth(true), None)
    }

    #[pyo3(signature = (_type = None, _value = None, _traceback = None, /))]
    fn __exit__(
        &self,
        _type: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release()
    }

    fn _is_mine(&self) -> bool {
        self.0.is_mine()
    }

    /// How often this process has acquired it.
    fn _count(&self) -> u64 {
        if self.0.holder() == Some(ProcessId::current()) { self.0.count() } else { 0 }
    }

    fn _get_value(&self) -> u32 {
        u32::from(self.0.holder().is_none())
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
