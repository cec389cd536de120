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

    /// Return whether the flag is set.
    fn is_set(&self) -> bool {
        self.0.is_set()
    }

    /// Set the flag and wake all waiters.
    fn set(&self) {
        self.0.set();
    }

    /// Clear the flag: later calls of `wait` block until it is set again.
    fn clear(&self) {
        self.0.clear();
    }

    /// Block until the flag is set; return at once if it is.
    ///
    /// Args:
    ///     timeout: how many seconds to wait at most; None waits without a limit.
    ///
    /// Returns:
    ///     True if the flag was set, even if it has been cleared since; False if the time ran out.
    ///
    /// Raises:
    ///     ValueError: the timeout is nan.
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
