//! How tasks ended, as Python objects.

use std::sync::Arc;

use millpond_core::os::exit_status::ExitStatus;
use millpond_core::pool::payload::Payload;
use millpond_core::pool::task::{Breakage, Crash, CrashCause, Outcome, Reason, Wanted};
use millpond_core::pool::tries::POISON;
use pyo3::exceptions::PyMemoryError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::codec::{Codec, FAST, UNSENT};
use crate::once::once;
use crate::os_error::{os_error, os_error_in};
use crate::plain::Decoder;

/// The status of a task that failed; its payload is an account and a pickled exception.
pub(crate) const FAILED: u8 = 1;

/// Builds the exception for a failure; see `millpond._pool.errors`.
fn failures<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || Ok(py.import("millpond._pool.errors")?.unbind());
    once(py, &MODULE, import)?.bind(py).getattr(name)
}

/// The operation of a call, without items; and what else may be in that byte. See
/// `millpond._pool.worker`.
const CALL: u8 = 0;
const FLAGS: u8 = 0xe8;

/// What a failed task does to the list of which its result is a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    /// It is raised instead.
    Raise,
    /// It is raised instead, and has what the others have returned.
    RaiseWithRest,
    /// It takes the place of the result.
    Return,
    /// It leaves no trace.
    Skip,
}

impl OnError {
    /// Whether it is a failure of the one task.
    fn counts(self, outcome: &Outcome) -> bool {
        matches!(self, Self::Return | Self::Skip) && !matches!(outcome, Outcome::Cancelled(_))
    }
}

impl From<u8> for OnError {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::RaiseWithRest,
            2 => Self::Return,
            3 => Self::Skip,
            _ => Self::Raise,
        }
    }
}

/// Which outcomes a thread takes now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Cancellations.
    Cancelled,
    /// What is decoded without running code of the program's.
    Plain,
    /// Whatever there is.
    Any,
}

impl Chosen {
    /// Whether it has this outcome in it.
    pub(crate) fn includes(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Any, _) | (_, Outcome::Cancelled(Reason::Cancelled)) => true,
            (Self::Cancelled, _) => false,
            (Self::Plain, Outcome::Finished { status, .. }) => {
                *status == UNSENT || *status & FAST != 0
            }
            (Self::Plain, _) => true,
        }
    }
}

/// What the outcome of a task or of a job is to Python.
pub(crate) enum Decoded<'py> {
    Returned(Bound<'py, PyAny>),
    Raised(PyErr),
    Cancelled,
}

impl<'py> From<PyResult<Bound<'py, PyAny>>> for Decoded<'py> {
    fn from(result: PyResult<Bound<'py, PyAny>>) -> Self {
        result.map_or_else(Self::Raised, Self::Returned)
    }
}

/// Decodes the outcome of a task. `first_item` is the number of the task's first item within its
/// call.
///
/// # Errors
/// What the handler of a signal raised meanwhile. Then the outcome can be decoded once more.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcome: &Outcome,
    first_item: u64,
) -> PyResult<Decoded<'py>> {
    match outcome {
        Outcome::Finished { status: UNSENT, payload } => {
            Ok(Decoded::Raised(codec.unsent(py, payload)))
        }
        Outcome::Cancelled(Reason::Cancelled) => Ok(Decoded::Cancelled),
        outcome => match value(py, codec, outcome, first_item) {
            Err(error) if is_interruption(py, &error)? => Err(error),
            result => Ok(result.into()),
        },
    }
}

/// Whether a signal handler raised this; the error is what another one raises now.
pub(crate) fn is_interruption(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let arguments = (error.value(py), error.traceback(py));
    failures(py, "is_interruption")?.call1(arguments)?.extract()
}

/// The result of a task, or the exception that says why there is none.
fn value<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcome: &Outcome,
    first_item: u64,
) -> PyResult<Bound<'py, PyAny>> {
    match outcome {
        Outcome::Finished { status: FAILED, payload } => {
            Err(failure(py, codec, payload, first_item)?)
        }
        Outcome::Finished { status, payload } => match codec.decode_shared(py, *status, payload) {
            Ok(value) => Ok(value),
            // What is no fault of the result's.
            Err(error)
                if error.is_instance_of::<PyMemoryError>(py) || is_interruption(py, &error)? =>
            {
                Err(error)
            }
            Err(error) => {
                let undecodable = failures(py, "undecodable_result")?.call1((error.value(py),))?;
                Err(PyErr::from_value(undecodable))
            }
        },
        Outcome::Crashed(crash) => Err(crashed(py, crash, first_item)?),
        Outcome::Cancelled(reason) => Err(cancelled(py, codec, reason)?),
        Outcome::NoMemory { wanted, error } => {
            let prevented = match wanted {
                Wanted::Function => "the task's function could not be sent to a worker",
                Wanted::Result => "there is no room for the task's result",
            };
            Err(os_error_in(prevented, error))
        }
    }
}

/// Decodes the outcomes of all tasks of a job, which return a list each, to one list. What is decoded
/// leaves `outcomes`, and is in `all`.
///
/// # Errors
/// As `decode`.
pub(crate) fn decode_all<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcomes: &mut [Option<Outcome>],
    chunk: u64,
    all: &mut Option<Bound<'py, PyList>>,
    on_error: OnError,
) -> PyResult<Decoded<'py>> {
    if on_error == OnError::RaiseWithRest {
        return decode_completed(py, codec, outcomes, all);
    }
    for (index, slot) in (0..).zip(outcomes) {
        // Of a job that failed fast, what says why comes first.
        let Some(outcome) = slot.as_ref() else { continue };
        if let Outcome::Cancelled(Reason::JobFailed) = outcome {
            continue;
        }
        let list = match decode(py, codec, outcome, index * chunk)? {
            Decoded::Returned(list) => list.cast_into::<PyList>(),
            Decoded::Raised(error) if on_error.counts(outcome) => {
                let value = error.into_value(py).into_bound(py);
                Ok(if on_error == OnError::Skip {
                    PyList::empty(py)
                } else {
                    PyList::new(py, [value])?
                })
            }
            failed => return Ok(failed),
        };
        let added = match (list, &all) {
            (Err(error), _) => Err(error.into()),
            (Ok(list), Some(all)) => all.call_method1("extend", (list,)).map(drop),
            (Ok(list), None) => {
                *all = Some(list);
                Ok(())
            }
        };
        if let Err(error) = added {
            return Ok(Decoded::Raised(error));
        }
        *slot = None;
    }
    Ok(Decoded::Returned(all.take().unwrap_or_else(|| PyList::empty(py)).into_any()))
}

/// The same for tasks of one item each: what is raised has the results of the others in its `completed`,
/// by the numbers of the items.
fn decode_completed<'py>(
    py: Python<'py>,
    codec: &Codec,
    outcomes: &mut [Option<Outcome>],
    all: &mut Option<Bound<'py, PyList>>,
) -> PyResult<Decoded<'py>> {
    let pairs = match all {
        Some(pairs) => pairs,
        None => all.insert(PyList::empty(py)),
    };
    let mut failed = None;
    for (index, slot) in (0..).zip(outcomes) {
        let Some(outcome) = slot.as_ref() else { continue };
        if let Outcome::Cancelled(Reason::JobFailed) = outcome {
            continue;
        }
        match decode(py, codec, outcome, index)? {
            Decoded::Returned(list) => {
                pairs.append((index, list.get_item(0)?))?;
                // That of a failure stays, to be decoded once more if this is interrupted.
                *slot = None;
            }
            other => failed = failed.or(Some(other)),
        }
    }
    let pairs = all.take().unwrap_or_else(|| PyList::empty(py));
    match failed {
        None => {
            let results = PyList::empty(py);
            for pair in &pairs {
                results.append(pair.get_item(1)?)?;
            }
            Ok(Decoded::Returned(results.into_any()))
        }
        Some(Decoded::Raised(error)) => {
            let completed = PyDict::new(py);
            for pair in &pairs {
                completed.set_item(pair.get_item(0)?, pair.get_item(1)?)?;
            }
            // Of an exception that takes no attributes, it is lost.
            let _ = error.value(py).setattr(intern!(py, "completed"), completed);
            Ok(Decoded::Raised(error))
        }
        Some(other) => Ok(other),
    }
}

fn failure(
    py: Python<'_>,
    codec: &Codec,
    payload: &Arc<Payload>,
    first_item: u64,
) -> PyResult<PyErr> {
    let account =
        Decoder::new(payload.part(0)).pull(py).unwrap_or_else(|_| py.None().into_bound(py));
    let pickled = payload.count() > 1 && !payload.part(1).is_empty();
    let (exception, error) = match pickled.then(|| codec.unpickle(py, payload, 1)) {
        None => (None, None),
        Some(Ok(exception)) => (Some(exception), None),
        Some(Err(error)) if is_interruption(py, &error)? => return Err(error),
        Some(Err(error)) => (None, Some(error.value(py).clone().into_any())),
    };
    let built = failures(py, "rebuild")?.call1((account, exception, error, first_item))?;
    Ok(PyErr::from_value(built))
}

fn crashed(py: Python<'_>, crash: &Crash, first_item: u64) -> PyResult<PyErr> {
    let cause = match crash.cause {
        CrashCause::Died => "",
        CrashCause::ZygoteDied => "the process that forks this pool's workers died",
        CrashCause::Corrupt => "it had damaged the memory that it shares with the pool",
        CrashCause::Cancelled | CrashCause::TimedOut => "the pool killed it",
    };
    let is_call = crash.op & !FLAGS == CALL;
    let item = first_item + u64::from(crash.item);
    let ran = crash.ran.map(|ran| ran.as_secs_f64());
    if let (CrashCause::TimedOut, Some(timeout)) = (crash.cause, crash.timeout) {
        let (item, function) = ((!is_call).then_some(item), &*crash.function);
        let arguments = (crash.pid, timeout.as_secs_f64(), function, item, ran);
        let built = failures(py, "timed_out")?.call1(arguments)?;
        return Ok(PyErr::from_value(built));
    }
    let deaths = crash.deaths.iter().map(|&(pid, status)| (pid, exitcode(status)));
    let deaths: Vec<_> = deaths.collect();
    let arguments = (
        crash.pid,
        exitcode(crash.status),
        &*crash.function,
        crash.index,
        (!is_call).then_some((item, crash.item_count)),
        cause,
        ran,
        (deaths.len() >= POISON).then(|| PyTuple::new(py, deaths)).transpose()?,
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
        Reason::Cancelled => Ok(PyErr::from_value(
            py.import("concurrent.futures")?.getattr("CancelledError")?.call0()?,
        )),
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
                Some(copy) => {
                    let failure = failure(py, codec, &Arc::new(copy), 0)?;
                    ("unfit", failure.value(py).clone().into_any())
                }
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
