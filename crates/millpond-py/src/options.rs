//! What a call asks of its pool beside its result.

use std::time::Duration;

use millpond_core::pool::options::{RetryOn, TaskOptions};
use pyo3::prelude::*;

/// The options of calls, as the engine has them; `millpond._pool.options` checks the values.
#[pyclass(name = "TaskOptions", frozen, module = "millpond._engine")]
pub(crate) struct PyTaskOptions(TaskOptions);

/// Seconds that are too many for the engine are without limit.
fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[pymethods]
impl PyTaskOptions {
    #[new]
    fn new(
        priority: i32,
        timeout: Option<f64>,
        grace: f64,
        retries: u32,
        retry_deaths: bool,
        retry_timeouts: bool,
        retry_delay: f64,
    ) -> Self {
        Self(TaskOptions {
            priority,
            timeout: timeout.and_then(duration),
            grace: duration(grace).unwrap_or(Duration::MAX),
            retries,
            retry_on: RetryOn { deaths: retry_deaths, timeouts: retry_timeouts },
            retry_delay: duration(retry_delay).unwrap_or(Duration::MAX),
            ..TaskOptions::DEFAULT
        })
    }
}

/// The options of a call that may have none.
pub(crate) fn task_options(options: Option<&Bound<'_, PyTaskOptions>>) -> TaskOptions {
    options.map_or(TaskOptions::DEFAULT, |options| options.get().0)
}
