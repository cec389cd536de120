//! Waiting as Python does: timeouts in seconds, and signal handlers that run meanwhile.

use std::time::{Duration, Instant};

use millpond_core::sync::deadline::Turns;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::deadlock::Watched;

/// A timeout of this many seconds or more is no limit.
const LONGEST: f64 = 1e9;
/// How long a lock of the standard library is waited for before the interpreter looks for signals, of
/// which one may have come just before the wait.
pub(crate) const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The instant at which a wait with this timeout, in seconds, ends; `None` without a limit.
///
/// # Errors
/// `ValueError` for nan, which is no number of seconds.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    refuse_nan(timeout)?;
    let Some(timeout) = timeout.filter(|t| *t < LONGEST) else { return Ok(None) };
    let length = Duration::try_from_secs_f64(timeout.max(0.0)).ok();
    Ok(length.and_then(|length| Instant::now().checked_add(length)))
}

/// Raises what [`deadline`] does for nan.
pub(crate) fn refuse_nan(timeout: Option<f64>) -> PyResult<()> {
    if timeout.is_some_and(f64::is_nan) {
        return Err(PyValueError::new_err("timeout must be a number of seconds or None, not nan"));
    }
    Ok(())
}

/// The same for a timeout from Python, which is any number of seconds or None.
pub(crate) fn deadline_of(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Instant>> {
    deadline(timeout.map(|t| t.extract::<f64>()).transpose()?)
}

/// Calls `turn` with the GIL released, each time with the instant at which it must return,
/// until it has a result; `None` if `deadline` passes before.
///
/// A turn ends without a result when its time is over or a signal arrives. Signal handlers run
/// between turns; what they raise is the error.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    turn: impl FnMut(Instant) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    wait_watched(py, deadline, turn, |_| Ok(()))
}

/// The same; where there is no deadline, `look` is called after each turn without a result. It
/// raises an error if no turn can have one.
pub(crate) fn wait_watched<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    mut turn: impl FnMut(Instant) -> Option<T> + Send,
    mut look: impl FnMut(&mut Watched) -> PyResult<()>,
) -> PyResult<Option<T>> {
    let (mut watched, mut turns) = (Watched::default(), Turns::default());
    loop {
        let until = turns.next(deadline);
        if let Some(result) = py.detach(|| turn(until)) {
            return Ok(Some(result));
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(None);
        }
        py.check_signals()?;
        if deadline.is_none() {
            look(&mut watched)?;
        }
    }
}
