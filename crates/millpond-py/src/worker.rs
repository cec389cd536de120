//! A worker of a Python pool, in the worker's process.

use millpond_core::channel::attachments::Attachments;
use millpond_core::pool::payload::{Part, Parts, Payload};
use millpond_core::pool::worker::{Next, Worker, WorkerFds};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};

use crate::attachments::PyAttachments;
use crate::codec::{Codec, FAST};
use crate::os_error::os_error;
use crate::outcome::FAILED;

/// Takes tasks from a pool and sends results back.
#[pyclass(name = "Worker", module = "millpond._engine")]
pub(crate) struct PyWorker {
    worker: Worker,
    codec: Codec,
    arguments: Option<(u8, std::io::Result<Payload>)>,
}

impl PyWorker {
    pub(crate) fn new(fds: WorkerFds, dumps: Py<PyAny>, loads: Py<PyAny>) -> PyResult<Self> {
        let codec = Codec::new(dumps, loads);
        Ok(Self { worker: Worker::attach(fds).map_err(os_error)?, codec, arguments: None })
    }

    fn finish_with(
        &mut self,
        status: u8,
        parts: &[&dyn Part],
        attachments: Option<&Attachments>,
    ) -> PyResult<()> {
        let result = Parts(parts);
        let finished = match attachments {
            Some(attachments) => self.worker.finish_with(status, result, attachments),
            None => self.worker.finish(status, result),
        };
        finished.map_err(os_error)
    }
}

#[pymethods]
impl PyWorker {
    /// Tells the pool that this worker takes tasks.
    fn ready(&mut self) -> PyResult<()> {
        self.worker.ready().map_err(os_error)
    }

    /// Tells the pool that no worker can be set up: an account as for `fail`. What handles lead to goes
    /// with the worker.
    #[pyo3(signature = (account, exception, _attachments=None))]
    fn unfit(
        &mut self,
        account: &[u8],
        exception: &[u8],
        _attachments: Option<&Bound<'_, PyAttachments>>,
    ) -> PyResult<()> {
        self.worker.unfit(FAILED, Parts(&[&account, &exception])).map_err(os_error)
    }

    /// Waits for the next task and returns its function's number, its operation and how many items
    /// it has; `None` when the worker is to end.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<(u32, u8, u32)>> {
        loop {
            let worker = &mut self.worker;
            match py.detach(move || worker.next_task()).map_err(os_error)? {
                Next::Task(task) => {
                    self.arguments = Some((task.op & FAST, task.payload));
                    return Ok(Some((task.function, task.op & !FAST, task.items)));
                }
                Next::Leave => return Ok(None),
                Next::Interrupted => py.check_signals()?,
            }
        }
    }

    /// The arguments of the task that was taken last; they can be had once.
    fn arguments<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (flags, payload) =
            self.arguments.take().ok_or_else(|| PyRuntimeError::new_err("no arguments"))?;
        self.codec.decode(py, flags, payload.map_err(os_error)?)
    }

    /// A function as the pool encoded it.
    fn function<'py>(&self, py: Python<'py>, number: u32) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.worker.function(number);
        let no_memory = || PyMemoryError::new_err("there was no memory for the task's function");
        let bytes = bytes.ok_or_else(no_memory)?;
        Ok(PyBytes::new(py, bytes))
    }

    /// Functions that the pool has forgotten since the last call.
    fn forgotten(&mut self) -> Vec<u32> {
        self.worker.take_forgotten()
    }

    /// Whether this process was forked by the worker, which can do nothing for the pool.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.worker.is_foreign()
    }

    /// Whether the pool was ended, rather than this worker dismissed.
    #[getter]
    fn is_ending(&self) -> bool {
        self.worker.is_ending()
    }

    /// Whether a task was taken and neither finished nor failed.
    #[getter]
    fn holds_task(&self) -> bool {
        self.worker.holds_task()
    }

    /// Sends the result of the task that was taken last.
    fn finish(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let encoded = self.codec.encode(value)?;
        self.finish_with(encoded.flags, &encoded.parts(), encoded.attachments.as_ref())
    }

    /// Sends why the task that was taken last failed: an account in the plain codec's format, and
    /// the pickled exception or nothing, with what the handles in it lead to.
    #[pyo3(signature = (account, exception, attachments=None))]
    fn fail(
        &mut self,
        account: &[u8],
        exception: &[u8],
        attachments: Option<&Bound<'_, PyAttachments>>,
    ) -> PyResult<()> {
        let parts: [&dyn Part; 2] = [&account, &exception];
        let attachments = attachments.map(|attachments| attachments.get().take());
        self.finish_with(FAILED, &parts, attachments.as_ref())
    }

    /// Says which items of its chunk the worker is at.
    fn at_items(&self, first: u32, count: u32) {
        self.worker.at_items(first, count);
    }
}

/// An iterator over a chunk's items that keeps note, where a crash leaves it, of how far it got.
#[pyclass(name = "Progress", module = "millpond._engine")]
pub(crate) struct Progress {
    items: Py<PyIterator>,
    worker: Py<PyWorker>,
    item: u32,
}

#[pymethods]
impl Progress {
    #[new]
    fn new(items: &Bound<'_, PyAny>, worker: Py<PyWorker>) -> PyResult<Self> {
        Ok(Self { items: items.try_iter()?.unbind(), worker, item: 0 })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> Option<PyResult<Bound<'py, PyAny>>> {
        if self.item > 0 {
            self.worker.borrow(py).worker.at_items(self.item, 1);
        }
        self.item += 1;
        self.items.bind(py).clone().next()
    }
}
