//! The zygote of a Python pool, and how its workers begin.
//!
//! Between the owner and a worker lie two forks, of which Python is to see one. So the interpreter is
//! told before the first that there will be a fork, and after it, in the owner, that there was one. The
//! zygote then runs the engine alone; the interpreter in it stays as it was when it was forked. After
//! the second fork the interpreter learns, in the worker, that this is a forked child. What programs and
//! tools registered with `os.register_at_fork` runs once in each worker, and never in the zygote.

use std::os::fd::IntoRawFd;

use millpond_core::os::fork::{Forked, exit_now, fork};
use millpond_core::pool::zygote::server::{Forkling, NewWorker, ZygoteFds, fork_zygote};
use millpond_core::pool::zygote::template::Template;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::descriptor::Descriptor;
use crate::worker::PyWorker;

/// The descriptors by which a zygote and its pool know each other.
#[pyclass(name = "ZygoteFds", module = "millpond._engine")]
pub(crate) struct PyZygoteFds(pub(crate) Option<ZygoteFds>);

#[pymethods]
impl PyZygoteFds {
    /// Forks a zygote from the calling process. Returns its pid there, and a `NewWorker` in each of
    /// its workers, where SIGINT is to be unblocked and the process to be ended by `os._exit`.
    fn fork_zygote<'py>(
        mut slf: PyRefMut<'py, Self>,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fds = slf.0.take().ok_or_else(used)?;
        drop(slf);
        // SAFETY: this thread is attached to the interpreter, and stays so in the owner and, as the only
        // one there is, in a worker, which sets the interpreter right before it uses it.
        let forkling = unsafe {
            ffi::PyOS_BeforeFork();
            flush_streams(py);
            let forkling = fork_zygote(fds);
            match &forkling {
                Ok(Forkling::Worker(_)) => ffi::PyOS_AfterFork_Child(),
                Ok(Forkling::Owner(_)) | Err(_) => ffi::PyOS_AfterFork_Parent(),
            }
            forkling
        };
        match forkling? {
            Forkling::Owner(pid) => Ok(pid.into_pyobject(py)?.into_any()),
            Forkling::Worker(new) => Ok(Bound::new(py, PyNewWorker::new(new)?)?.into_any()),
        }
    }
}

/// Writes out what the standard streams hold, which each worker would write again at its end.
///
/// Other threads print meanwhile only where a stream is written, for that takes time, or is a program's
/// own. So the second time nothing is written, and from there to the fork this thread alone runs.
fn flush_streams(py: Python<'_>) {
    let Ok(sys) = py.import("sys") else { return };
    for name in ["stdout", "stderr", "stdout", "stderr"] {
        // A stream may be closed, or None; what else is wrong with it shows where it is written to.
        let _ = sys.getattr(name).and_then(|stream| stream.getattr("flush")?.call0());
    }
}

/// Makes the calling process, an interpreter with one thread that process `owner` started, the template
/// of zygotes. Returns in their workers, as `fork_zygote` does. Takes up the descriptors of these numbers.
#[pyfunction]
pub(crate) fn serve_template(
    socket: Descriptor,
    lifeline: Descriptor,
    owner: u32,
) -> PyResult<PyNewWorker> {
    let template = Template::new(socket.adopt()?, lifeline.adopt()?, owner)?;
    // SAFETY: this thread is attached to the interpreter, and is the only one of this process and of the
    // workers, which set the interpreter right before they use it.
    let new = unsafe {
        ffi::PyOS_BeforeFork();
        let new = template.serve();
        ffi::PyOS_AfterFork_Child();
        new
    };
    let (new, passed) = match new {
        Ok((new, passed)) => (Ok(new), passed),
        Err(error) => (Err(error), Vec::new()),
    };
    let mut new = PyNewWorker::new(new)?;
    new.passed = passed.into_iter().map(IntoRawFd::into_raw_fd).collect();
    Ok(new)
}

/// Forks a process that ends at once, and returns its pid. The interpreter is told nothing, but the
/// handlers run that libraries have registered with the C library: some end their threads before a fork.
#[pyfunction]
pub(crate) fn fork_in_vain() -> PyResult<u32> {
    // SAFETY: the child ends at once.
    match unsafe { fork()? } {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => exit_now(0),
    }
}

pub(crate) fn used() -> PyErr {
    PyRuntimeError::new_err("this was used up already")
}

/// A worker that has just been forked, in its process.
#[pyclass(name = "NewWorker", module = "millpond._engine")]
pub(crate) struct PyNewWorker {
    new: Option<NewWorker>,
    /// The descriptors that its zygote was passed, which are Python's to close.
    #[pyo3(get)]
    passed: Vec<i32>,
}

impl PyNewWorker {
    fn new(new: std::io::Result<NewWorker>) -> PyResult<Self> {
        let new = new?;
        new.unblock_signals()?;
        Ok(Self { new: Some(new), passed: Vec::new() })
    }
}

#[pymethods]
impl PyNewWorker {
    /// Its number within its pool, counted from 1.
    #[getter]
    fn number(&self) -> PyResult<u64> {
        Ok(self.new.as_ref().ok_or_else(used)?.number)
    }

    /// What its pool's owner calls it; 0 for one of the first.
    #[getter]
    fn tag(&self) -> PyResult<u64> {
        Ok(self.new.as_ref().ok_or_else(used)?.tag)
    }

    /// Takes up its link to the pool.
    fn attach(&mut self, dumps: Py<PyAny>, loads: Py<PyAny>) -> PyResult<PyWorker> {
        PyWorker::new(self.new.take().ok_or_else(used)?.fds, dumps, loads)
    }
}
