//! How tasks ended, as Python objects.

use std::sync::Arc;

use millpond_core::os::exit_status::ExitStatus;
use millpond_core::pool::payload::Payload;
use millpond_core::pool::task::{Breakage, Crash, CrashCause, Outcome, Reason, Wanted};
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};

use crate::codec::Codec;
use crate::fast::Decoder;
use crate::once::once;
use crate::os_error::{os_error, os_error_in};

/// The status of a task that failed; its payload is an account and a pickled exception.
pub(crate) const FAILED: u8 = 1;
/// The status of a task whose arguments could not be sent; its payload is the number under which
/// the exception is kept here.
pub(crate) const UNSENT: u8 = 2;

/// Builds the exception for a failure; see `millpond._pool.errors`.
fn failures<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || Ok(py.import("millpond._pool.errors")?.unbind());
    once(py, &MODULE, import)?.bind(py).getattr(name)
}

/// The result of a task, or the exception that says why there is none. `first_item` is the number
/// of the task's first item within its call.
pub(crate) fn value<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcome: Outcome,
    first_item: u64,
) -> PyResult<Bound<'py, PyAny>> {
    match outcome {
        Outcome::Finished { status: FAILED, payload } => Err(failure(py, codec, payload)?),
        Outcome::Finished { status: UNSENT, payload } => Err(codec.take_unsent(&payload)),
        Outcome::Finished { status, payload } => match codec.decode(py, status, payload) {
            Ok(value) => Ok(value),
            // Ctrl-C, in the thread that it is meant for; and what is no fault of the result's.
            Err(error)
                if error.is_instance_of::<PyKeyboardInterrupt>(py)
                    || error.is_instance_of::<PyMemoryError>(py) =>
            {
                Err(error)
            }
            Err(error) => {
                let undecodable = failures(py, "undecodable_result")?.call1((error.value(py),))?;
                Err(PyErr::from_value(undecodable))
            }
        },
        Outcome::Crashed(crash) => Err(crashed(py, &crash, first_item)?),
        Outcome::Cancelled(reason) => Err(cancelled(py, codec, &reason)?),
        Outcome::NoMemory { wanted, error } => {
            let prevented = match wanted {
                Wanted::Function => "the task's function could not be sent to a worker",
                Wanted::Result => "there is no room for the task's result",
            };
            Err(os_error_in(prevented, error))
        }
    }
}

/// The results of all tasks of a job, one list each, as one list.
pub(crate) fn concatenated<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcomes: Vec<Option<Outcome>>,
    chunk: u64,
) -> PyResult<Bound<'py, PyList>> {
    let all = PyList::empty(py);
    let mut missing = None;
    for (index, outcome) in (0..).zip(outcomes) {
        match outcome {
            // A job that failed fast: what says why comes first.
            None => {}
            Some(Outcome::Cancelled(Reason::JobFailed)) => {}
            Some(outcome) => {
                let list = value(py, codec, outcome, index * chunk)?;
                let list = list.cast_into::<PyList>()?;
                if all.is_empty() && index == 0 {
                    missing = Some(list);
                } else {
                    if let Some(first) = missing.take() {
                        all.call_method1("extend", (first,))?;
                    }
                    all.call_method1("extend", (list,))?;
                }
            }
        }
    }
    Ok(missing.unwrap_or(all))
}

fn failure(py: Python<'_>, codec: &Codec, payload: Payload) -> PyResult<PyErr> {
    let account =
        Decoder::new(payload.part(0)).pull(py).unwrap_or_else(|_| py.None().into_bound(py));
    let pickled = payload.count() > 1 && !payload.part(1).is_empty();
    let (exception, error) = match pickled.then(|| codec.unpickle(py, payload, 1)) {
        None => (None, None),
        Some(Ok(exception)) => (Some(exception), None),
        Some(Err(error)) => (None, Some(error.value(py).clone().into_any())),
    };
    let built = failures(py, "rebuild")?.call1((account, exception, error))?;
    Ok(PyErr::from_value(built))
}

fn crashed(py: Python<'_>, crash: &Crash, first_item: u64) -> PyResult<PyErr> {
    let cause = match crash.cause {
        CrashCause::Died => "",
        CrashCause::ZygoteDied => "the process that forks this pool's workers died",
        CrashCause::Corrupt => "it had damaged the memory that it shares with the pool",
    };
    let item = first_item + u64::from(crash.item);
    let arguments = (
        crash.pid,
        exitcode(crash.status),
        &*crash.function,
        crash.index,
        (crash.items > 1 || first_item > 0).then_some((item, crash.item_count)),
        cause,
    );
    let built = failures(py, "worker_crashed")?.call1(arguments)?;
    Ok(PyErr::from_value(built))
}

/// As `Process.exitcode` has it: the code, or minus the signal.
pub(crate) fn exitcode(status: ExitStatus) -> Option<i32> {
    match status {
        ExitStatus::Exited(code) => Some(code),
        ExitStatus::Signaled { signal, .. } => Some(-signal),
        ExitStatus::Unknown => None,
    }
}

pub(crate) fn cancelled(py: Python<'_>, codec: &Codec, reason: &Reason) -> PyResult<PyErr> {
    match reason {
        Reason::Terminated => Ok(PyErr::from_value(failures(py, "pool_terminated")?.call0()?)),
        Reason::Cancelled => Ok(PyErr::from_value(failures(py, "call_cancelled")?.call0()?)),
        Reason::JobFailed => Ok(PyErr::from_value(failures(py, "call_failed")?.call0()?)),
        Reason::Broken(breakage) => broken(py, codec, breakage),
    }
}

/// Why a pool takes no work any more.
pub(crate) fn broken(py: Python<'_>, codec: &Codec, breakage: &Arc<Breakage>) -> PyResult<PyErr> {
    let none = py.None().into_bound(py);
    let arguments = match &**breakage {
        Breakage::Unfit { payload, .. } => {
            let parts: Vec<_> = (0..payload.count()).map(|i| payload.part(i).to_vec()).collect();
            let gathered: Vec<_> =
                parts.iter().map(|p| p as &dyn millpond_core::pool::payload::Part).collect();
            let bytes = millpond_core::pool::payload::Parts(&gathered).to_vec();
            match Payload::from_bytes(bytes, u32::try_from(parts.len()).unwrap_or(0)) {
                Some(copy) => ("unfit", failure(py, codec, copy)?.value(py).clone().into_any()),
                None => ("unfit", none),
            }
        }
        Breakage::WorkersDie(status) => {
            ("workers die", status.to_string().into_pyobject(py)?.into_any())
        }
        Breakage::WorkerDied { pid, status } => {
            ("worker died", format!("worker {pid} {status}").into_pyobject(py)?.into_any())
        }
        Breakage::CannotStart(error) => {
            ("cannot start", os_error(error).value(py).clone().into_any())
        }
    };
    let arguments = PyTuple::new(py, [arguments.0.into_pyobject(py)?.into_any(), arguments.1])?;
    Ok(PyErr::from_value(failures(py, "pool_broken")?.call1(arguments)?))
}
