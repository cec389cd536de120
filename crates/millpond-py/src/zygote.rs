//! The zygote of a Python pool, in the zygote's process.

use millpond_core::os::inherited;
use millpond_core::pool::zygote::server::{StartOrder, Zygote, ZygoteFds};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::worker::PyWorker;

/// The descriptors by which a zygote and its pool know each other.
#[pyclass(name = "ZygoteFds", module = "millpond._engine")]
pub(crate) struct PyZygoteFds(pub(crate) Option<ZygoteFds>);

#[pymethods]
impl PyZygoteFds {
    /// Their numbers, for a program that inherits them.
    fn numbers(&self) -> PyResult<(i32, i32, i32)> {
        use std::os::fd::AsRawFd;
        let fds = self.0.as_ref().ok_or_else(used)?;
        Ok((fds.socket.as_raw_fd(), fds.commons.as_raw_fd(), fds.watcher.as_raw_fd()))
    }

    /// Takes up descriptors that this program inherited, by their numbers.
    #[staticmethod]
    fn inherited(socket: i32, commons: i32, watcher: i32) -> PyResult<Self> {
        Ok(Self(Some(ZygoteFds {
            socket: inherited::adopt(socket)?,
            commons: inherited::adopt(commons)?,
            watcher: inherited::adopt(watcher)?,
        })))
    }
}

fn used() -> PyErr {
    PyRuntimeError::new_err("this was used up already")
}

/// A process with one thread that forks a pool's workers.
#[pyclass(name = "Zygote", module = "millpond._engine")]
pub(crate) struct PyZygote {
    zygote: Option<Zygote>,
    order: Option<StartOrder>,
}

#[pymethods]
impl PyZygote {
    /// Makes the calling process, which must have one thread, the zygote of a pool of process
    /// `owner`.
    #[new]
    fn new(mut fds: PyRefMut<'_, PyZygoteFds>, owner: u32) -> PyResult<Self> {
        let fds = fds.0.take().ok_or_else(used)?;
        Ok(Self { zygote: Some(Zygote::new(fds, owner)?), order: None })
    }

    /// Waits for the next worker to be forked and returns its number. Ends the process when the
    /// pool is gone.
    fn next(&mut self) -> PyResult<u64> {
        let order = self.zygote.as_mut().ok_or_else(used)?.next_order();
        let worker = order.worker;
        self.order = Some(order);
        Ok(worker)
    }

    /// In the zygote: the worker was forked as process `pid`.
    fn started(&mut self, pid: u32) -> PyResult<()> {
        let order = self.order.take().ok_or_else(used)?;
        // A failure was reported to the pool.
        let _ = self.zygote.as_mut().ok_or_else(used)?.started(&order, pid);
        Ok(())
    }

    /// In the zygote: the worker could not be forked.
    fn failed(&mut self, errno: i32) -> PyResult<()> {
        let order = self.order.take().ok_or_else(used)?;
        let error = std::io::Error::from_raw_os_error(errno);
        self.zygote.as_ref().ok_or_else(used)?.failed(&order, &error);
        Ok(())
    }

    /// In the forked child: makes it the worker.
    fn become_worker(&mut self, dumps: Py<PyAny>, loads: Py<PyAny>) -> PyResult<PyWorker> {
        let (Some(zygote), Some(order)) = (self.zygote.take(), self.order.take()) else {
            return Err(used());
        };
        PyWorker::new(zygote.become_worker(order)?, dumps, loads)
    }
}
