//! A pool, in the process that made it.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millpond_core::pool::captured_handles::CapturedHandles;
use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::levels::Level;
use millpond_core::pool::payload::{Part, Parts};
use millpond_core::pool::size::Bounds;
use millpond_core::pool::task::{JobId, NewTask, Outcome, Reason};
use millpond_core::pool::zygote::client::{NewZygote, Replacement, ZygoteSource};
use millpond_core::pool::zygote::server::ZygoteFds;
use millpond_core::pool::{Config, Pool, PoolError, Waited};
use pyo3::exceptions::{PyBaseException, PyException, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::codec::{Codec, DetachedPart, Encoded};
use crate::options::{PyTaskOptions, task_options};
use crate::os_error::os_error;
use crate::outcome::{self, Chosen, Decoded};
use crate::template::PyForkedZygote;
use crate::waiting::deadline;
use crate::zygote::PyZygoteFds;
use millpond_core::pool::options::TaskOptions;

/// Tasks that are handed to the engine at a time, so that workers begin early.
const BATCH: usize = 64;
/// And no more bytes than this beyond the last of them: what a worker begins while the rest is encoded.
const BATCH_BYTES: usize = 32 << 10;

/// Makes zygotes by calling Python.
struct PySource {
    launcher: Py<PyAny>,
    is_slow: bool,
}

fn attached<T>(call: impl FnOnce(Python<'_>) -> PyResult<T>) -> io::Result<T> {
    match Python::try_attach(call) {
        Some(result) => result.map_err(io::Error::from),
        None => Err(io::Error::other("the interpreter is shutting down")),
    }
}

impl ZygoteSource for PySource {
    fn start(&self, fds: ZygoteFds) -> io::Result<NewZygote> {
        attached(|py| {
            let fds = Py::new(py, PyZygoteFds(Some(fds)))?;
            let started = self.launcher.bind(py).call_method1("start", (&fds,))?;
            // The zygote has them now.
            fds.borrow_mut(py).0 = None;
            match started.cast::<PyForkedZygote>() {
                Ok(forked) => forked.borrow_mut().take(),
                Err(_) => Ok(NewZygote::child(started.extract()?)),
            }
        })
    }

    fn is_slow(&self) -> bool {
        self.is_slow
    }

    fn ages(&self) -> bool {
        true
    }

    fn replace(&self, count: usize) -> io::Result<Replacement> {
        attached(|py| {
            let replaced = self.launcher.bind(py).call_method1("replace", (count,))?;
            let (tags, outdated) = replaced.extract()?;
            Ok(Replacement { tags, outdated })
        })
    }
}

/// The engine's pool of worker processes.
#[pyclass(name = "Pool", frozen, module = "millpond._engine")]
pub(crate) struct PyPool {
    pool: Pool,
    codec: Codec,
    /// `apart(function)`; see `TaskEncoder` in `millpond._pickling.codec`.
    apart: Py<PyAny>,
    /// The functions of jobs that take more tasks, where each task carries it.
    carried: Mutex<HashMap<JobId, Carried>>,
}

/// Set in a task's `op` when its function comes with its arguments; see `millpond._pool.worker`.
const CARRIED: u8 = 0x20;

/// A function that tasks carry.
struct Carried {
    function: Py<PyAny>,
    /// Set for a large one, which the workers know by its bytes too: pickles a task's arguments
    /// without it, or returns `None` if they share an object with it.
    dumps_beside: Option<Py<PyAny>>,
}

impl Carried {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        let dumps_beside = self.dumps_beside.as_ref().map(|dumps| dumps.clone_ref(py));
        Self { function: self.function.clone_ref(py), dumps_beside }
    }
}

impl PyPool {
    fn error(&self, py: Python<'_>, error: PoolError) -> PyErr {
        let raised = match error {
            PoolError::NotRunning => return PyValueError::new_err("Pool not running"),
            PoolError::Broken(breakage) => outcome::broken(py, &self.codec, &breakage),
            PoolError::Io(error) => return os_error(error),
            PoolError::ForeignProcess { owner } => (|| {
                let failures = py.import("millpond._pool.errors")?;
                Ok(PyErr::from_value(failures.getattr("wrong_process")?.call1((owner,))?))
            })(),
        };
        raised.unwrap_or_else(|error| error)
    }

    /// Encodes the arguments of a task that carries its function.
    fn encode_carried<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyAny>,
    ) -> PyResult<Encoded<'py>> {
        let both = PyTuple::new(arguments.py(), [function, arguments])?;
        let mut encoded = self.codec.pickle(both.as_any())?;
        encoded.flags |= CARRIED;
        Ok(encoded)
    }

    /// Encodes the arguments of one of a job's tasks.
    fn encode_chunk<'py>(
        &self,
        carried: Option<&Carried>,
        chunk: &Bound<'py, PyAny>,
    ) -> PyResult<Encoded<'py>> {
        let Some(carried) = carried else {
            return self.codec.encode(chunk);
        };
        if let Some(dumps) = &carried.dumps_beside {
            // What the plain codec takes is plain, and shares nothing that could be changed.
            if let Some(encoded) = Codec::encode_fast(chunk) {
                return Ok(encoded);
            }
            if let Some(encoded) = Codec::pickle_with(dumps.bind(chunk.py()), chunk)? {
                return Ok(encoded);
            }
        }
        self.encode_carried(carried.function.bind(chunk.py()), chunk)
    }

    /// Decodes an outcome that was taken, or puts it back if a signal handler raises meanwhile.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
        index: u64,
        outcome: Outcome,
        chunk: u64,
    ) -> PyResult<PyOutcome<'py>> {
        match outcome::decode(py, &self.codec, &outcome, index * chunk) {
            Ok(Decoded::Returned(value)) => Ok((Some(value), None)),
            Ok(Decoded::Raised(error)) => {
                self.codec.forget(&outcome);
                Ok((None, Some(error.into_value(py).into_bound(py))))
            }
            Ok(Decoded::Cancelled) => {
                let error = outcome::cancelled(py, &self.codec, &Reason::Cancelled)?;
                Ok((None, Some(error.into_value(py).into_bound(py))))
            }
            Err(error) => {
                self.pool.put_back(job, index, outcome);
                Err(error)
            }
        }
    }

    /// What was decoded of a task's list before that was interrupted.
    fn list_so_far<'py>(&self, task: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
        let list = task.getattr(intern!(task.py(), "_result"))?;
        Ok(list.cast_into().ok())
    }

    fn carried(&self) -> MutexGuard<'_, HashMap<JobId, Carried>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_down(&self, job: JobId) {
        let function = self.carried().remove(&job);
        // Dropping it may run Python code: not under the lock.
        drop(function);
    }

    fn submit_batch(
        &self,
        py: Python<'_>,
        job: JobId,
        op: u8,
        batch: &mut Vec<(Encoded<'_>, usize)>,
    ) -> PyResult<()> {
        let captured_handles: Vec<_> =
            batch.iter_mut().map(|(encoded, _)| encoded.take_captured_handles()).collect();
        let heads = batch.iter().map(|(encoded, items)| {
            (op | encoded.flags, u32::try_from(*items).unwrap_or(u32::MAX))
        });
        let heads = heads.zip(captured_handles);
        let extended = if batch.iter().any(|(encoded, _)| encoded.is_large()) {
            let heads: Vec<_> = heads.collect();
            let parts: Vec<_> = batch.iter().map(|(encoded, _)| encoded.detached_parts()).collect();
            py.detach(|| {
                let parts: Vec<_> = parts.iter().map(|parts| as_parts(parts)).collect();
                self.extend_with(job, heads.into_iter(), &parts)
            })
        } else {
            let parts: Vec<_> = batch.iter().map(|(encoded, _)| encoded.parts()).collect();
            self.extend_with(job, heads, &parts)
        };
        extended.map_err(|e| self.error(py, e))?;
        batch.clear();
        Ok(())
    }

    fn extend_with(
        &self,
        job: JobId,
        heads: impl Iterator<Item = ((u8, u32), Option<Box<dyn CapturedHandles>>)>,
        parts: &[Vec<&dyn Part>],
    ) -> Result<(), PoolError> {
        let mut tasks: Vec<_> = heads
            .zip(parts)
            .map(|(((op, items), captured_handles), parts)| {
                let payload = Parts(parts);
                NewTask { op, items, payload, captured_handles }
            })
            .collect();
        self.pool.extend(job, &mut tasks, false)
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

fn bounds((least, most, idle_timeout): (usize, usize, f64)) -> PyResult<Bounds> {
    let idle_timeout = Duration::try_from_secs_f64(idle_timeout);
    let idle_timeout = idle_timeout.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(Bounds { least, most, idle_timeout })
}

/// A task's result and its exception.
type PyOutcome<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyBaseException>>);

/// What `stats` returns.
type Counters = (u64, u64, u64, u64, u64, u64, u64, u64);
/// A priority and what `PyPool::levels` says of it.
type PyLevel = (i32, u64, f64, u64, f64, f64);

/// A worker's number, tag, pid and load.
type PyWorkerInfo = (u64, u64, Option<u32>, usize);

fn as_parts<'a>(parts: &'a [DetachedPart<'_>]) -> Vec<&'a dyn Part> {
    parts.iter().map(|part| part as &dyn Part).collect()
}

fn target(index: Option<i64>) -> Target {
    match index {
        None => Target::All,
        Some(index) => u64::try_from(index).map_or(Target::Any, Target::Index),
    }
}

#[pymethods]
impl PyPool {
    /// Starts a pool; `launcher.start(fds)` makes a zygote and returns its pid, or what a template
    /// returned, `launcher.replace(count)` returns tags for workers that take others' places, and whether
    /// they need a new zygote. `launcher.is_slow` says that even the first zygote is not waited for.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "one call, of one place")]
    fn new(
        py: Python<'_>,
        size: (usize, usize, f64),
        tasks_per_worker: Option<u64>,
        traced: bool,
        fragile: bool,
        limits: (Option<usize>, Option<f64>),
        launcher: Py<PyAny>,
        dumps: Py<PyAny>,
        apart: Py<PyAny>,
        loads: Py<PyAny>,
    ) -> PyResult<Self> {
        let (max_pending, ageing) = limits;
        // A negative number is for ever.
        let ageing =
            ageing.map(|level| Duration::try_from_secs_f64(level).unwrap_or(Duration::MAX));
        let processes = bounds(size)?;
        let config = Config { processes, tasks_per_worker, traced, fragile, max_pending, ageing };
        let codec = Codec::new(dumps, loads);
        let is_slow = launcher.getattr(py, "is_slow")?.extract(py)?;
        match Pool::start(config, Box::new(PySource { launcher, is_slow })) {
            Ok(pool) => Ok(Self { pool, codec, apart, carried: Mutex::default() }),
            Err(PoolError::Io(error)) => Err(os_error(error)),
            Err(error) => Err(PyOSError::new_err(format!("{error:?}"))),
        }
    }

    /// Begins a job of one task with these arguments, and returns its number.
    #[pyo3(signature = (function, label, op, items, arguments, options=None))]
    #[expect(clippy::too_many_arguments, reason = "one crossing of the border per call")]
    fn submit(
        &self,
        py: Python<'_>,
        function: &Bound<'_, PyAny>,
        label: &str,
        op: u8,
        items: u32,
        arguments: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyTaskOptions>>,
    ) -> PyResult<JobId> {
        // To the engine, functions are the same if their bytes are; so then are their labels.
        let (bytes, encoded) = match function.cast::<PyBytes>() {
            Ok(bytes) => (bytes.as_bytes(), self.codec.encode(arguments)),
            Err(_) => (label.as_bytes(), self.encode_carried(function, arguments)),
        };
        let spec =
            JobSpec { function: bytes, label, fail_fast: false, options: task_options(options) };
        let submitted = match encoded {
            Ok(mut encoded) => {
                let captured_handles = encoded.take_captured_handles();
                let op = op | encoded.flags;
                let submit = |parts: &[&dyn Part], captured_handles| {
                    let task = NewTask { op, items, payload: Parts(parts), captured_handles };
                    self.pool.submit(&spec, &mut [task], true)
                };
                if encoded.is_large() {
                    let parts = encoded.detached_parts();
                    py.detach(|| submit(&as_parts(&parts), captured_handles))
                } else {
                    submit(&encoded.parts(), captured_handles)
                }
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
    #[pyo3(signature = (function, label, fail_fast, options=None, streams=false))]
    fn begin(
        &self,
        py: Python<'_>,
        function: &Bound<'_, PyAny>,
        label: &str,
        fail_fast: bool,
        options: Option<&Bound<'_, PyTaskOptions>>,
        streams: bool,
    ) -> PyResult<JobId> {
        let options = TaskOptions { streams, ..task_options(options) };
        let begin = |function: &[u8]| {
            let spec = JobSpec { function, label, fail_fast, options };
            self.pool.submit(&spec, &mut [], false).map_err(|e| self.error(py, e))
        };
        if let Ok(bytes) = function.cast::<PyBytes>() {
            return begin(bytes.as_bytes());
        }
        let apart: Option<(Bound<'_, PyBytes>, Py<PyAny>)> =
            self.apart.bind(py).call1((function,))?.extract()?;
        let job = begin(apart.as_ref().map_or(label.as_bytes(), |(bytes, _)| bytes.as_bytes()))?;
        let dumps_beside = apart.map(|(_, dumps)| dumps);
        let carried = Carried { function: function.clone().unbind(), dumps_beside };
        self.carried().insert(job, carried);
        Ok(job)
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
        let mut bytes = 0;
        let mut count = 0;
        let mut start = 0;
        let carried = self.carried().get(&job).map(|carried| carried.clone_ref(py));
        while start < items.len() {
            let end = start.saturating_add(chunk.max(1)).min(items.len());
            let chunk = items.get_slice(start, end);
            match self.encode_chunk(carried.as_ref(), chunk.as_any()) {
                Ok(encoded) => {
                    bytes += encoded.length();
                    batch.push((encoded, end - start));
                }
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    self.submit_batch(py, job, op, &mut batch)?;
                    let outcome = self.codec.keep_unsent(job, error);
                    let added = self.pool.extend_with_outcome(job, outcome, false);
                    added.map_err(|e| self.error(py, e))?;
                }
                Err(error) => return Err(error),
            }
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                self.submit_batch(py, job, op, &mut batch)?;
                bytes = 0;
            }
            count += 1;
            start = end;
        }
        self.submit_batch(py, job, op, &mut batch)?;
        Ok(count)
    }

    /// Says that a job takes no more tasks.
    fn seal(&self, py: Python<'_>, job: JobId) -> PyResult<()> {
        self.put_down(job);
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
        let deadline = deadline(timeout)?;
        self.loop_until(py, || self.pool.wait(job, target(index), deadline))
    }

    /// Whether `wait` would return at once.
    #[pyo3(signature = (job, index=None))]
    fn is_reached(&self, py: Python<'_>, job: JobId, index: Option<i64>) -> PyResult<bool> {
        self.pool.is_reached(job, target(index)).map_err(|e| self.error(py, e))
    }

    /// Takes the outcome of one task (`index`), or of the one that ended first among those not taken
    /// (`-1`), as a tuple of its result and its exception; `None` if it is not there. Results of
    /// chunks are lists.
    ///
    /// Raises what a signal handler raises meanwhile; then the outcome is there still.
    fn take<'py>(
        &self,
        py: Python<'py>,
        job: JobId,
        index: i64,
        chunk: u64,
    ) -> PyResult<Option<PyOutcome<'py>>> {
        let taken = match u64::try_from(index) {
            Ok(index) => {
                self.pool.take(job, index).map(|taken| taken.map(|outcome| (index, outcome)))
            }
            Err(_) => self.pool.take_next(job),
        };
        let taken = taken.map_err(|e| self.error(py, e))?;
        taken.map(|(index, outcome)| self.decode(py, job, index, outcome, chunk)).transpose()
    }

    /// Takes the outcome of a job that is over, and sets `_result` or `_exception` of its `task`, and
    /// `_state`. Returns whether it did; not if another thread is about to, or if it would have to
    /// unpickle and may not.
    ///
    /// The result of a job of chunks is a list. Without chunks, `first_item` is the number of the
    /// only task's first item.
    ///
    /// `on_error` says what a failed task does to that list: it is raised, raised with what the others
    /// have returned in its `completed`, is in the list, or is not.
    ///
    /// `states` are those of a task that returned or raised, that was cancelled, and that was
    /// published and cancelled. A published task that was not cancelled keeps its state, which may
    /// change under its condition alone.
    ///
    /// No signal handler runs between the taking and the setting but in code of the program's, which
    /// unpickling calls. What it raises there is raised, and the outcome can be taken once more.
    #[expect(clippy::too_many_arguments, reason = "one crossing of the border per call")]
    fn settle(
        &self,
        py: Python<'_>,
        job: JobId,
        task: &Bound<'_, PyAny>,
        chosen: u8,
        chunk: Option<u64>,
        first_item: u64,
        on_error: u8,
        states: &Bound<'_, PyTuple>,
    ) -> PyResult<bool> {
        let chosen = match chosen {
            0 => Chosen::Cancelled,
            1 => Chosen::Plain,
            _ => Chosen::Any,
        };
        let begun = self.pool.begin_decoding(job, |outcome| chosen.includes(outcome));
        let Some(mut outcomes) = begun.map_err(|e| self.error(py, e))? else {
            return Ok(false);
        };
        let mut all = None;
        let decoded = match chunk {
            Some(chunk) => self.list_so_far(task).and_then(|list| {
                all = list;
                let on_error = on_error.into();
                outcome::decode_all(py, &self.codec, &mut outcomes, chunk, &mut all, on_error)
            }),
            None => match outcomes.first() {
                Some(Some(outcome)) => outcome::decode(py, &self.codec, outcome, first_item),
                _ => Ok(Decoded::Raised(PyValueError::new_err("the job has no outcome"))),
            },
        };
        let stored = decoded.and_then(|decoded| {
            let is_published = || task.getattr(intern!(py, "_is_published"))?.is_truthy();
            let state = match decoded {
                Decoded::Returned(value) => {
                    task.setattr(intern!(py, "_result"), value)?;
                    (!is_published()?).then_some(0)
                }
                Decoded::Raised(error) => {
                    let error = task.call_method1(intern!(py, "_converted"), (error.value(py),))?;
                    task.setattr(intern!(py, "_result"), py.None())?;
                    task.setattr(intern!(py, "_exception"), error)?;
                    (!is_published()?).then_some(0)
                }
                Decoded::Cancelled => Some(if is_published()? { 2 } else { 1 }),
            };
            let set = |state| task.setattr(intern!(py, "_state"), states.get_item(state)?);
            state.map_or(Ok(()), set)
        });
        match stored {
            Ok(()) => self.abandon(job),
            Err(_) => {
                if let Some(all) = all {
                    task.setattr(intern!(py, "_result"), all)?;
                }
                self.pool.end_decoding(job, outcomes);
            }
        }
        stored.map(|()| true)
    }

    /// The results of this job will not be asked for any more. Its tasks run all the same.
    fn abandon(&self, job: JobId) {
        self.pool.abandon(job);
        self.put_down(job);
        self.codec.forget_unsent(job);
    }

    /// Like `abandon`, but more tasks may be added; results are dropped as they come.
    fn discard(&self, job: JobId) {
        self.pool.discard(job);
        self.codec.forget_unsent(job);
    }

    /// Waits until at most so many tasks of a job have not ended.
    fn wait_for_room(&self, py: Python<'_>, job: JobId, most: u64) -> PyResult<()> {
        let target = Target::Unfinished(most);
        self.loop_until(py, || self.pool.wait(job, target, None)).map(drop)
    }

    /// How far a job is: tasks submitted, those of them that have not ended, and whether it is
    /// over; `None` if it is gone.
    fn progress(&self, py: Python<'_>, job: JobId) -> PyResult<Option<(u64, u64, bool)>> {
        let progress = self.pool.progress(job).map_err(|e| self.error(py, e))?;
        Ok(progress.map(|p| (p.submitted, p.unfinished, p.is_over)))
    }

    /// The jobs that are not over, and how many tasks wait for room at a worker.
    fn backlog(&self, py: Python<'_>) -> PyResult<(Vec<JobId>, usize)> {
        self.pool.backlog().map_err(|e| self.error(py, e))
    }

    /// Raises why the pool runs no tasks any more, if that is so.
    fn check_works(&self, py: Python<'_>) -> PyResult<()> {
        match self.pool.refusal().map_err(|e| self.error(py, e))? {
            Some(reason) => Err(outcome::cancelled(py, &self.codec, &reason)?),
            None => Ok(()),
        }
    }

    /// Keeps the tasks of these jobs, or of all, that no worker has begun from running; how many.
    #[expect(clippy::needless_pass_by_value, reason = "an argument of Python's")]
    fn cancel(&self, py: Python<'_>, jobs: Option<Vec<JobId>>) -> PyResult<usize> {
        self.pool.cancel(jobs.as_deref()).map_err(|e| self.error(py, e))
    }

    /// Cancels a job as a whole unless it is over, and returns whether it was not. With `running`, the
    /// workers that run its tasks are killed.
    #[pyo3(signature = (job, running=false))]
    fn give_up(&self, py: Python<'_>, job: JobId, running: bool) -> PyResult<bool> {
        self.pool.give_up(job, running).map_err(|e| self.error(py, e))
    }

    /// Whether any task of a job that is not over was handed to a worker.
    fn is_handed(&self, py: Python<'_>, job: JobId) -> PyResult<bool> {
        self.pool.is_handed(job).map_err(|e| self.error(py, e))
    }

    /// Has `wait_notified` tell when the outcome of this job can be taken, which may be so by now;
    /// `False` if it was taken.
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
        let deadline = deadline(timeout)?;
        self.loop_until(py, || self.pool.wait_ended(deadline))
    }

    /// Waits until every place of the pool has a worker.
    #[pyo3(signature = (timeout=None))]
    fn wait_started(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = deadline(timeout)?;
        self.loop_until(py, || self.pool.wait_started(deadline))
    }

    /// The workers as (number, tag, pid or None, load), in the order of their places.
    fn workers(&self, py: Python<'_>) -> PyResult<Vec<PyWorkerInfo>> {
        let workers = self.pool.workers().map_err(|e| self.error(py, e))?;
        Ok(workers.iter().map(|w| (w.number, w.tag, w.pid, w.load)).collect())
    }

    /// Whether the worker of this number has ended, and its exit code as `Process.exitcode` has it.
    fn end_of_worker(&self, py: Python<'_>, number: u64) -> PyResult<(bool, Option<i32>)> {
        let status = self.pool.end_of(number).map_err(|e| self.error(py, e))?;
        Ok((status.is_some(), status.and_then(outcome::exitcode)))
    }

    /// The pid of the process that forks workers now.
    #[getter]
    fn zygote_pid(&self) -> u32 {
        self.pool.zygote_pid()
    }

    /// Has the pool have as many workers from now on: at least, at most, and the seconds after which one
    /// leaves that is idle.
    fn resize(&self, py: Python<'_>, size: (usize, usize, f64)) -> PyResult<()> {
        self.pool.resize(bounds(size)?).map_err(|e| self.error(py, e))
    }

    /// The least and the largest number of workers; how many are wanted, and how many there are; how
    /// many left because there were too many.
    fn size(&self, py: Python<'_>) -> PyResult<(usize, usize, usize, usize, u64)> {
        let size = self.pool.size().map_err(|e| self.error(py, e))?;
        let Bounds { least, most, .. } = size.bounds;
        Ok((least, most, size.wanted, size.workers, size.left))
    }

    /// By priority: how many tasks wait, how long the first has, how many were done, how long those waited
    /// on average, and at most.
    fn levels(&self, py: Python<'_>) -> PyResult<Vec<PyLevel>> {
        let levels = self.pool.levels().map_err(|e| self.error(py, e))?;
        let numbers = |(priority, level): (i32, Level)| {
            let count = u32::try_from(level.finished).unwrap_or(u32::MAX).max(1);
            let [oldest, mean, longest] =
                [level.oldest, level.waited / count, level.longest].map(|d| d.as_secs_f64());
            (priority, level.waiting, oldest, level.finished, mean, longest)
        };
        Ok(levels.into_iter().map(numbers).collect())
    }

    /// Reserves room for so many tasks, or for none; for how many.
    fn reserve(&self, py: Python<'_>, count: usize) -> PyResult<usize> {
        self.pool.reserve(count, true).map_err(|e| self.error(py, e))
    }

    /// Waits for room for some of so many tasks and reserves it; for how many, which are none if the
    /// pool takes no more jobs.
    fn wait_to_reserve(&self, py: Python<'_>, most: usize) -> PyResult<usize> {
        let reserved = self.pool.reserve(most, false).map_err(|e| self.error(py, e))?;
        if reserved > 0 {
            return Ok(reserved);
        }
        loop {
            let waited = py.detach(|| self.pool.wait_to_reserve(most));
            match waited.map_err(|e| self.error(py, e))? {
                (Waited::Reached, reserved) => return Ok(reserved),
                _ => py.check_signals()?,
            }
        }
    }

    /// Gives reserved room back.
    fn release(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        self.pool.release(count).map_err(|e| self.error(py, e))
    }

    /// Counters: tasks submitted, finished, crashed; workers started, replaced; tasks moved; workers
    /// killed for tasks that took too long; tasks tried again.
    fn stats(&self, py: Python<'_>) -> PyResult<Counters> {
        let s = self.pool.stats().map_err(|e| self.error(py, e))?;
        Ok((
            s.submitted,
            s.finished,
            s.crashes,
            s.workers_started,
            s.replacements,
            s.moved,
            s.timeouts,
            s.retries,
        ))
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
