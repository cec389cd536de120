//! Waiting as Python does: timeouts in seconds, and signal handlers that run meanwhile.

use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Deadlines beyond this are none.
const LONGEST: f64 = 1e9;
/// How long the engine waits before the interpreter looks for signals. One that comes during the
/// wait ends it at once; this is for those that come just before it begins.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// When a wait of so many seconds ends; `None` if it never does.
pub(crate) fn deadline(timeout: Option<f64>) -> Option<Instant> {
    let timeout = timeout.filter(|t| *t < LONGEST)?.max(0.0);
    Instant::now().checked_add(Duration::try_from_secs_f64(timeout).ok()?)
}

/// When a wait with this timeout ends, which may be any number of seconds or None.
pub(crate) fn deadline_of(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Instant>> {
    let seconds = timeout.map(|t| t.extract::<f64>()).transpose()?;
    if seconds.is_some_and(f64::is_nan) {
        return Err(PyValueError::new_err("timeout must be a number of seconds or None, not nan"));
    }
    Ok(deadline(seconds))
}

/// Calls `turn` without the interpreter lock, each time with the instant at which it must return,
/// until it has a result or `deadline` has passed; `None` if that was so.
///
/// A turn ends without a result when its time is over or a signal came, whose handler then runs.
/// What that raises is the error.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    mut turn: impl FnMut(Instant) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    loop {
        let slice = Instant::now() + SLICE;
        let until = deadline.map_or(slice, |deadline| deadline.min(slice));
        if let Some(result) = py.detach(|| turn(until)) {
            return Ok(Some(result));
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(None);
        }
        py.check_signals()?;
    }
}
