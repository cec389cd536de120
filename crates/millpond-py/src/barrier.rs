//! `Barrier`.
//!
//! Its guard is held for moments unless its holder is stopped, so it is entered without the interpreter
//! lock.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::barrier::{Arrival, Barrier, Crossing};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::{handle, waiting};

/// Where so many parties wait for each other. Its subclass has the action and the default timeout.
#[pyclass(name = "Barrier", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyBarrier(Shared<Barrier>);

#[pymethods]
impl PyBarrier {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    /// Sets a new one up.
    fn _start(&self, parties: i32) -> PyResult<()> {
        match u32::try_from(parties) {
            Ok(parties @ 1..) => {
                self.0.start(parties);
                Ok(())
            }
            _ => Err(PyValueError::new_err("parties must be > 0")),
        }
    }

    /// Waits for the others, and tells which of them this one is.
    #[pyo3(signature = (timeout = None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<Bound<'_, PyAny>>) -> PyResult<u32> {
        let py = slf.py();
        let timeout = match timeout {
            Some(timeout) => Some(timeout),
            None => Some(slf.getattr("_timeout")?).filter(|default| !default.is_none()),
        };
        let deadline = waiting::deadline_of(timeout.as_ref())?;
        let barrier = &*slf.get().0;
        let pass = |generation| {
            waiting::wait(py, deadline, |until| match barrier.wait(generation, Some(until)) {
                Crossing::TimedOut | Crossing::Interrupted => None,
                over => Some(over),
            })
        };
        loop {
            match py.detach(|| barrier.arrive()) {
                Arrival::Last { index, generation } => {
                    if let Err(error) = act(slf) {
                        py.detach(|| barrier.give_up(generation));
                        return Err(error);
                    }
                    return if py.detach(|| barrier.open(generation)) == Crossing::Crossed {
                        Ok(index)
                    } else {
                        broken(py)
                    };
                }
                Arrival::Early { index, generation } => {
                    return match pass(generation) {
                        Ok(Some(Crossing::Crossed)) => Ok(index),
                        Ok(Some(_)) => broken(py),
                        Ok(None) => match py.detach(|| barrier.give_up(generation)) {
                            Some(Crossing::Crossed) => Ok(index),
                            _ => broken(py),
                        },
                        // This party will not come again: the others must not wait for it.
                        Err(error) => {
                            py.detach(|| barrier.give_up(generation));
                            Err(error)
                        }
                    };
                }
                Arrival::Busy { generation } => {
                    if pass(generation)?.is_none() {
                        py.detach(|| barrier.give_up(generation));
                        return broken(py);
                    }
                }
                Arrival::Broken => return broken(py),
            }
        }
    }

    fn abort(&self, py: Python<'_>) {
        let barrier = &*self.0;
        py.detach(|| barrier.abort());
    }

    fn reset(&self, py: Python<'_>) {
        let barrier = &*self.0;
        py.detach(|| barrier.reset());
    }

    #[getter]
    fn broken(&self) -> bool {
        self.0.is_broken()
    }

    #[getter]
    fn n_waiting(&self) -> u32 {
        self.0.waiting()
    }

    #[getter]
    fn parties(&self) -> u32 {
        self.0.parties()
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

/// Runs the action of the last party to arrive.
fn act(barrier: &Bound<'_, PyBarrier>) -> PyResult<()> {
    let action = barrier.getattr("_action")?;
    if !action.is_none() {
        action.call0()?;
    }
    Ok(())
}

fn broken<T>(py: Python<'_>) -> PyResult<T> {
    static BROKEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = BROKEN.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("threading")?.getattr("BrokenBarrierError")?.unbind())
    })?;
    Err(PyErr::from_value(class.bind(py).call0()?))
}
