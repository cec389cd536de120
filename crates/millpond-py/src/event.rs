//! `Event`.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::event::Event;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::{handle, waiting};

/// A flag that many wait for.
#[pyclass(name = "Event", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyEvent(Shared<Event>);

#[pymethods]
impl PyEvent {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    fn is_set(&self) -> bool {
        self.0.is_set()
    }

    fn set(&self) {
        self.0.set();
    }

    fn clear(&self) {
        self.0.clear();
    }

    /// Waits until it is set: whether it was, or the time was over.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let deadline = waiting::deadline_of(timeout)?;
        if self.0.is_set() {
            return Ok(true);
        }
        // A setting counts from here on, even one that is taken back while a signal is handled.
        let seen = self.0.listen();
        let event = &*self.0;
        let through = waiting::wait(py, deadline, |until| {
            event.wait_since(seen, Some(until)).unwrap_or(false).then_some(())
        })?;
        Ok(through.is_some())
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
