//! `Barrier`.
//!
//! A process that holds the barrier's guard may be stopped, so waiting for the guard releases the
//! GIL.

use millpond_core::shm::shared::Shared;
use millpond_core::sync::barrier::{Arrival, Barrier, Crossing};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::deadlock::{WaitFor, Watched};
use crate::once::once;
use crate::os_error::os_error;
use crate::{handle, waiting};

/// The engine's part of a barrier. Its subclass has the action and the default timeout.
#[pyclass(name = "Barrier", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyBarrier(Shared<Barrier>);

#[pymethods]
impl PyBarrier {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        handle::made_or_opened(kwargs).map(Self)
    }

    /// Set a new barrier up.
    fn _start(&self, parties: i32) -> PyResult<()> {
        match u32::try_from(parties) {
            Ok(parties @ 1..) => self.0.start(parties).map_err(os_error),
            _ => Err(PyValueError::new_err("parties must be > 0")),
        }
    }

    /// Wait until all parties have called `wait`, then continue together with them.
    ///
    /// The last party to arrive runs the barrier's action, if it has one, before any continues.
    ///
    /// Args:
    ///     timeout: how many seconds to wait at most; by default, the barrier's own timeout.
    ///
    /// Returns:
    ///     The index of this party, from 0 to `parties - 1`: each gets a different one.
    ///
    /// Raises:
    ///     threading.BrokenBarrierError: the barrier is broken, or was broken or reset meanwhile:
    ///         by `abort` or `reset`, by the timeout or the interruption of a party, or because a
    ///         process that had arrived died.
    ///     BarrierDeadlock: nobody alive can be the party that is missing. The barrier is broken.
    ///     ValueError: the timeout is nan.
    ///     Exception: whatever the action raises, which breaks the barrier.
    #[pyo3(signature = (timeout = None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<Bound<'_, PyAny>>) -> PyResult<u32> {
        let py = slf.py();
        let timeout = match timeout {
            Some(timeout) => Some(timeout),
            None => Some(slf.getattr("_timeout")?).filter(|default| !default.is_none()),
        };
        let deadline = waiting::deadline_of(timeout.as_ref())?;
        let barrier = &*slf.get().0;
        let pass = |generation, index| {
            let turn = |until| match barrier.wait(generation, Some(until)) {
                Crossing::TimedOut | Crossing::Interrupted => None,
                over => Some(over),
            };
            let look = |watched: &mut Watched| {
                let are_all_waiting = || barrier.is_deserted(generation, index);
                let may_be = || barrier.may_be_deserted();
                watched.look_at_all(py, may_be, are_all_waiting, || WaitFor::Parties)
            };
            waiting::wait_watched(py, deadline, turn, look)
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
                    return match pass(generation, index) {
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
                    // No party yet: the look finds that it is not one.
                    if pass(generation, u32::MAX)?.is_none() {
                        py.detach(|| barrier.give_up(generation));
                        return broken(py);
                    }
                }
                Arrival::Broken => return broken(py),
            }
        }
    }

    /// Break the barrier: parties that wait, and later ones, get `threading.BrokenBarrierError`.
    ///
    /// It stays broken until `reset`.
    fn abort(&self, py: Python<'_>) {
        let barrier = &*self.0;
        py.detach(|| barrier.abort());
    }

    /// Make the barrier empty and usable again.
    ///
    /// Parties that wait get `threading.BrokenBarrierError`.
    fn reset(&self, py: Python<'_>) {
        let barrier = &*self.0;
        py.detach(|| barrier.reset());
    }

    /// Whether the barrier is broken.
    #[getter]
    fn broken(&self) -> bool {
        self.0.is_broken()
    }

    /// The number of parties that are waiting now.
    #[getter]
    fn n_waiting(&self) -> u32 {
        self.0.waiting()
    }

    /// The number of parties that have to arrive.
    #[getter]
    fn parties(&self) -> u32 {
        self.0.parties()
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
    let class =
        once(py, &BROKEN, || Ok(py.import("threading")?.getattr("BrokenBarrierError")?.unbind()))?;
    Err(PyErr::from_value(class.bind(py).call0()?))
}
