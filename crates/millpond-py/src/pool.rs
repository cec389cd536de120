//! A pool, in the process that made it.

use std::io;

use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::payload::Parts;
use millpond_core::pool::task::{JobId, NewTask};
use millpond_core::pool::zygote::client::ZygoteSource;
use millpond_core::pool::zygote::server::ZygoteFds;
use millpond_core::pool::{Config, Pool, PoolError, Waited};
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::codec::{Codec, Encoded};
use crate::outcome;
use crate::waiting::deadline;
use crate::zygote::PyZygoteFds;

/// Tasks that are handed to the engine at a time, so that workers begin early.
const BATCH: usize = 64;

/// Makes zygotes by calling Python.
struct PySource(Py<PyAny>);

impl ZygoteSource for PySource {
    fn start(&self, fds: ZygoteFds) -> io::Result<u32> {
        let launch = |py: Python<'_>| {
            let fds = Py::new(py, PyZygoteFds(Some(fds)))?;
            let pid = self.0.bind(py).call1((&fds,))?.extract();
            // The zygote has them now.
            fds.borrow_mut(py).0 = None;
            pid
        };
        match Python::try_attach(launch) {
            Some(pid) => pid.map_err(io::Error::from),
            None => Err(io::Error::other("the interpreter is shutting down")),
        }
    }
}

/// The engine's pool of worker processes.
#[pyclass(name = "Pool", frozen, module = "millpond._engine")]
pub(crate) struct PyPool {
    pool: Pool,
    codec: Codec,
}

impl PyPool {
    fn error(&self, py: Python<'_>, error: PoolError) -> PyErr {
        let raised = match error {
            PoolError::NotRunning => return PyValueError::new_err("Pool not running"),
            PoolError::Broken(breakage) => outcome::broken(py, &self.codec, &breakage),
            PoolError::Io(error) => return error.into(),
            PoolError::ForeignProcess { owner } => (|| {
                let failures = py.import("millpond._failures")?;
                Ok(PyErr::from_value(failures.getattr("wrong_process")?.call1((owner,))?))
            })(),
        };
        raised.unwrap_or_else(|error| error)
    }

    fn submit_batch(
        &self,
        py: Python<'_>,
        job: JobId,
        op: u8,
        batch: &mut Vec<(Encoded<'_>, usize)>,
    ) -> PyResult<()> {
        let luggage: Vec<_> = batch.iter_mut().map(|(encoded, _)| encoded.take_luggage()).collect();
        let parts: Vec<_> = batch.iter().map(|(encoded, _)| encoded.parts()).collect();
        let task =
            |(((encoded, items), parts), luggage): ((&(Encoded<'_>, usize), _), _)| NewTask {
                op: op | encoded.flags,
                items: u32::try_from(*items).unwrap_or(u32::MAX),
                payload: Parts(parts),
                luggage,
            };
        let parts = parts.iter().map(Vec::as_slice);
        let mut tasks: Vec<_> = batch.iter().zip(parts).zip(luggage).map(task).collect();
        self.pool.extend(job, &mut tasks, false).map_err(|e| self.error(py, e))?;
        batch.clear();
        Ok(())
    }

    fn loop_until(
        &self,
        py: Python<'_>,
        wait: impl Fn() -> Result<Waited, PoolError> + Sync,
    ) -> PyResult<bool> {
        loop {
            match py.detach(&wait).map_err(|e| self.error(py, e))? {
                Waited::Reached => return Ok(true),
                Waited::TimedOut => return Ok(false),
                Waited::Interrupted => py.check_signals()?,
            }
        }
    }
}

fn target(index: Option<i64>) -> Target {
    match index {
        None => Target::All,
        Some(index) => u64::try_from(index).map_or(Target::Any, Target::Index),
    }
}

#[pymethods]
impl PyPool {
    /// Starts a pool; `launch(fds)` makes its zygote and returns the pid.
    #[new]
    fn new(
        processes: usize,
        tasks_per_worker: Option<u64>,
        traced: bool,
        fragile: bool,
        launch: Py<PyAny>,
        dumps: Py<PyAny>,
        loads: Py<PyAny>,
    ) -> PyResult<Self> {
        let config = Config { processes, tasks_per_worker, traced, fragile };
        let codec = Codec::new(dumps, loads);
        match Pool::start(config, Box::new(PySource(launch))) {
            Ok(pool) => Ok(Self { pool, codec }),
            Err(PoolError::Io(error)) => Err(error.into()),
            Err(error) => Err(PyOSError::new_err(format!("{error:?}"))),
        }
    }

    /// Begins a job of one task with these arguments, and returns its number.
    #[expect(clippy::too_many_arguments, reason = "one crossing of the border per call")]
    fn submit(
        &self,
        py: Python<'_>,
        function: &[u8],
        label: &str,
        op: u8,
        items: u32,
        arguments: &Bound<'_, PyAny>,
        notify: bool,
    ) -> PyResult<JobId> {
        let spec = JobSpec { function, label, fail_fast: false, notify };
        let submitted = match self.codec.encode(arguments) {
            Ok(mut encoded) => {
                let luggage = encoded.take_luggage();
                let parts = encoded.parts();
                let op = op | encoded.flags;
                let task = NewTask { op, items, payload: Parts(&parts), luggage };
                self.pool.submit(&spec, &mut [task], true)
            }
            Err(error) if error.is_instance_of::<PyException>(py) => {
                self.pool.submit(&spec, &mut [], false).and_then(|job| {
                    let outcome = self.codec.keep_unsent(job, error);
                    self.pool.extend_with_outcome(job, outcome, true).map(|()| job)
                })
            }
            Err(error) => return Err(error),
        };
        submitted.map_err(|e| self.error(py, e))
    }

    /// Begins a job to which tasks are added later.
    fn begin(
        &self,
        py: Python<'_>,
        function: &[u8],
        label: &str,
        fail_fast: bool,
        notify: bool,
    ) -> PyResult<JobId> {
        let spec = JobSpec { function, label, fail_fast, notify };
        self.pool.submit(&spec, &mut [], false).map_err(|e| self.error(py, e))
    }

    /// Cuts `items` into chunks and adds them to a job as tasks. Returns how many there are.
    fn extend(
        &self,
        py: Python<'_>,
        job: JobId,
        op: u8,
        items: &Bound<'_, PyList>,
        chunk: usize,
    ) -> PyResult<usize> {
        let mut batch = Vec::new();
        let mut count = 0;
        let mut start = 0;
        while start < items.len() {
            let end = start.saturating_add(chunk.max(1)).min(items.len());
            let chunk = items.get_slice(start, end);
            match self.codec.encode(chunk.as_any()) {
                Ok(encoded) => batch.push((encoded, end - start)),
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    self.submit_batch(py, job, op, &mut batch)?;
                    let outcome = self.codec.keep_unsent(job, error);
                    let added = self.pool.extend_with_outcome(job, outcome, false);
                    added.map_err(|e| self.error(py, e))?;
                }
                Err(error) => return Err(error),
            }
            if batch.len() == BATCH {
                self.submit_batch(py, job, op, &mut batch)?;
            }
            count += 1;
            start = end;
        }
        self.submit_batch(py, job, op, &mut batch)?;
        Ok(count)
    }

    /// Says that a job takes no more tasks.
    fn seal(&self, py: Python<'_>, job: JobId) -> PyResult<()> {
        self.pool.extend(job, &mut [], true).map_err(|e| self.error(py, e))
    }

    /// Waits for a job: for its end, for one task (`index`), or for any task not taken yet (`-1`).
    /// False if the timeout (in seconds) ran out.
    #[pyo3(signature = (job, index=None, timeout=None))]
    fn wait(
        &self,
        py: Python<'_>,
        job: JobId,
        index: Option<i64>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        if self.is_reached(py, job, index)? {
            return Ok(true);
        }
        let deadline = deadline(timeout);
        self.loop_until(py, || self.pool.wait(job, target(index), deadline))
    }

    /// Whether `wait` would return at once.
    #[pyo3(signature = (job, index=None))]
    fn is_reached(&self, py: Python<'_>, job: JobId, index: Option<i64>) -> PyResult<bool> {
        self.pool.is_reached(job, target(index)).map_err(|e| self.error(py, e))
    }

    /// Takes the result of one task, or raises what made it fail; `None` if it is not there.
    /// Results of chunks are lists. The result comes in a tuple of one.
    #[pyo3(signature = (job, index, first_item=0))]
    fn take<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
        index: u64,
        first_item: u64,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        match self.pool.take(job, index).map_err(|e| self.error(py, e))? {
            None => Ok(None),
            Some(outcome) => Ok(Some((outcome::value(py, &self.codec, outcome, first_item)?,))),
        }
    }

    /// Takes the result of the task of a job that ended first; like `take`.
    fn take_next<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
        chunk: u64,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        match self.pool.take_next(job).map_err(|e| self.error(py, e))? {
            None => Ok(None),
            Some((index, outcome)) => {
                Ok(Some((outcome::value(py, &self.codec, outcome, index * chunk)?,)))
            }
        }
    }

    /// Takes the result of the only task of a job, which is forgotten; like `take`.
    fn take_only<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let taken = self.take(py, job, 0, 0);
        self.abandon(job);
        taken
    }

    /// Takes the results of all chunks of a job that is over, as one list; or raises what made the
    /// first of those that failed fail.
    fn take_all<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
        chunk: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let outcomes = self.pool.take_all(job).map_err(|e| self.error(py, e))?;
        let results = outcome::concatenated(py, &self.codec, outcomes, chunk);
        self.abandon(job);
        results
    }

    /// Nobody will ask for the results of this job any more. Its tasks run all the same.
    fn abandon(&self, job: JobId) {
        self.pool.abandon(job);
        self.codec.forget_unsent(job);
    }

    /// Keeps a job that no worker has begun from running; whether that is so.
    fn cancel(&self, py: Python<'_>, job: JobId) -> PyResult<bool> {
        self.pool.cancel(job).map_err(|e| self.error(py, e))
    }

    /// Has `wait_notified` tell when this job is over; `False` if it is over already.
    fn notify(&self, py: Python<'_>, job: JobId) -> PyResult<bool> {
        self.pool.notify(job).map_err(|e| self.error(py, e))
    }

    /// Waits for a job that wanted to be notified to be over; `None` when the pool has ended.
    fn wait_notified(&self, py: Python<'_>) -> PyResult<Option<JobId>> {
        // To give the interpreter away and get it back can take a thread some milliseconds.
        if let Some(job) = self.pool.poll_notified().map_err(|e| self.error(py, e))? {
            return Ok(Some(job));
        }
        loop {
            let waited = py.detach(|| self.pool.wait_notified());
            match waited.map_err(|e| self.error(py, e))? {
                (Waited::Reached, job) => return Ok(job),
                _ => py.check_signals()?,
            }
        }
    }

    /// Takes no new jobs; the pool ends when those that it has are over.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.pool.close().map_err(|e| self.error(py, e))
    }

    /// Ends the pool now.
    fn terminate(&self, py: Python<'_>) -> PyResult<()> {
        self.pool.terminate().map_err(|e| self.error(py, e))
    }

    /// Waits until no process of the pool is left.
    #[pyo3(signature = (timeout=None))]
    fn wait_ended(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = deadline(timeout);
        self.loop_until(py, || self.pool.wait_ended(deadline))
    }

    /// Waits until every place of the pool has a worker.
    #[pyo3(signature = (timeout=None))]
    fn wait_started(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = deadline(timeout);
        self.loop_until(py, || self.pool.wait_started(deadline))
    }

    /// The workers as (number, pid or None, load), in the order of their places.
    fn workers(&self, py: Python<'_>) -> PyResult<Vec<(u64, Option<u32>, usize)>> {
        let workers = self.pool.workers().map_err(|e| self.error(py, e))?;
        Ok(workers.iter().map(|w| (w.number, w.pid, w.load)).collect())
    }

    /// Whether the worker of this number has ended, and its exit code as `Process.exitcode` has it.
    fn end_of_worker(&self, py: Python<'_>, number: u64) -> PyResult<(bool, Option<i32>)> {
        let status = self.pool.end_of(number).map_err(|e| self.error(py, e))?;
        Ok((status.is_some(), status.and_then(outcome::exitcode)))
    }

    /// The pid of the process that forks the workers.
    #[getter]
    fn zygote_pid(&self) -> u32 {
        self.pool.zygote_pid()
    }

    /// Counters: tasks submitted, finished, crashed; workers started, replaced; tasks moved.
    fn stats(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, u64)> {
        let s = self.pool.stats().map_err(|e| self.error(py, e))?;
        Ok((s.submitted, s.finished, s.crashes, s.workers_started, s.replacements, s.moved))
    }

    /// The timeline of the run as an HTML page and as an SVG picture; `None` if none was kept.
    fn timeline(&self, py: Python<'_>, title: &str) -> PyResult<Option<(String, String)>> {
        let timeline = self.pool.timeline().map_err(|e| self.error(py, e))?;
        Ok(timeline.map(|mut timeline| {
            timeline.title = title.to_owned();
            (timeline.to_html(), timeline.to_svg())
        }))
    }
}
