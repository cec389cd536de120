//! Waits that nobody alive can end, and what they raise.

use millpond_core::os::quiescence;
use millpond_core::sync::deadlock::{self, DeadlockWatch};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::once::once;

/// What a wait is for.
#[derive(Clone, Copy)]
pub(crate) enum WaitFor {
    /// A lock that this process holds, or the process of this pid held when it ended.
    Lock(Option<u32>),
    Permit,
    Notification,
    Parties,
    Item,
    Room,
    Tasks,
    Message,
}

impl WaitFor {
    /// As `millpond._deadlocks` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Lock(_) => "lock",
            Self::Permit => "permit",
            Self::Notification => "notification",
            Self::Parties => "parties",
            Self::Item => "item",
            Self::Room => "room",
            Self::Tasks => "tasks",
            Self::Message => "message",
        }
    }
}

/// One wait without a limit.
#[derive(Default)]
pub(crate) struct Watched(DeadlockWatch);

impl Watched {
    /// Raises an error if no further turn of the wait can have a result; `is_sole_user` says
    /// whether no other process can reach what is waited for.
    pub(crate) fn look(
        &mut self,
        py: Python<'_>,
        is_sole_user: impl FnOnce() -> bool,
        what: impl FnOnce() -> WaitFor,
    ) -> PyResult<()> {
        self.look_at_all(py, is_sole_user, || true, what)
    }

    /// The same for a wait of several processes for each other; see
    /// [`DeadlockWatch::is_deadlock_of_all`].
    pub(crate) fn look_at_all(
        &mut self,
        py: Python<'_>,
        may_be: impl FnOnce() -> bool,
        are_all_waiting: impl FnOnce() -> bool,
        what: impl FnOnce() -> WaitFor,
    ) -> PyResult<()> {
        let mut raised = None;
        let handles_signals = || {
            handles_signals(py).unwrap_or_else(|error| {
                // At the end of the interpreter nothing can be imported any more: no certainty. What
                // is no `Exception` is Ctrl-C.
                raised = Some(error).filter(|error| !error.is_instance_of::<PyException>(py));
                true
            })
        };
        if !self.0.is_deadlock_of_all(may_be, handles_signals, are_all_waiting) {
            return raised.map_or(Ok(()), Err);
        }
        let what = what();
        let holder = if let WaitFor::Lock(holder) = what { holder } else { None };
        let error = function(py, &DEADLOCK, "deadlock")?.call1((what.name(), holder))?;
        Err(PyErr::from_value(error))
    }
}

static HANDLES_SIGNALS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static DEADLOCK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Whether a signal could run code of the program's, in Python or in C.
fn handles_signals(py: Python<'_>) -> PyResult<bool> {
    function(py, &HANDLES_SIGNALS, "handles_signals")?.call0()?.extract()
}

fn function<'py>(
    py: Python<'py>,
    kept: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let import = || Ok(py.import("millpond._deadlocks")?.getattr(name)?.unbind());
    Ok(once(py, kept, import)?.bind(py).clone())
}

/// Return whether a signal would run a handler in C, other than those of faults and of `allowed`.
#[pyfunction]
pub(crate) fn has_signal_handlers(allowed: Vec<i32>) -> bool {
    quiescence::has_signal_handlers(&allowed)
}

/// Choose whether waits that nobody alive can end raise an error, in this process.
#[pyfunction]
pub(crate) fn enable_deadlock_errors(enabled: bool) {
    deadlock::enable(enabled);
}
