//! The Python door of millpond: the extension module `millpond._engine`.
//!
//! One class a file; each takes its arguments, calls the engine without the interpreter lock where
//! it may wait, and converts the error. What must be Python is in `python/millpond`.

use pyo3::prelude::*;

mod acquire;
mod barrier;
mod batch;
mod bytes;
mod codec;
mod condition;
mod connection;
mod event;
mod fast;
mod handle;
mod lent;
mod lock;
mod number;
mod outcome;
mod pool;
mod queue;
mod quick;
mod rlock;
mod semaphore;
mod waiting;
mod worker;
mod zygote;

/// The engine behind the package `millpond`.
#[pymodule]
mod _engine {
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use crate::barrier::PyBarrier;
    #[pymodule_export]
    use crate::bytes::PySharedBytes;
    #[pymodule_export]
    use crate::condition::PyCondition;
    #[pymodule_export]
    use crate::connection::{PyConnection, PyRings, is_pipe, pipe, wait_readable};
    #[pymodule_export]
    use crate::event::PyEvent;
    #[pymodule_export]
    use crate::lock::PyLock;
    #[pymodule_export]
    use crate::number::{PyGuardedNumber, PyGuardedNumbers};
    #[pymodule_export]
    use crate::pool::PyPool;
    #[pymodule_export]
    use crate::queue::PyQueue;
    #[pymodule_export]
    use crate::rlock::PyRLock;
    #[pymodule_export]
    use crate::semaphore::PySemaphore;
    #[pymodule_export]
    use crate::worker::{Progress, PyWorker};
    #[pymodule_export]
    use crate::zygote::{PyZygote, PyZygoteFds};

    /// How many processors this process may use: its affinity and its cgroup's quota count.
    #[pyfunction]
    fn cpu_count() -> usize {
        millpond_core::cpu::cpu_count()
    }

    /// Waits until what this process made and sent to others has arrived, but not for longer than
    /// so many seconds; whether it has.
    #[pyfunction]
    fn wait_for_arrivals(py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let deadline = crate::waiting::deadline(Some(timeout));
        let wait = |until| millpond_core::shm::ticket::wait_for_arrivals(until).then_some(());
        Ok(crate::waiting::wait(py, deadline, wait)?.is_some())
    }

    /// Raises MemoryError if the machine could never hold so many bytes.
    #[pyfunction]
    fn could_hold(length: u64) -> PyResult<()> {
        millpond_core::os::memory::could_hold(length).map_err(crate::bytes::want)
    }

    /// A plain value in the fast lane's format; `None` if it is not for the fast lane.
    #[pyfunction]
    fn encode<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
        let mut encoder = crate::fast::Encoder::default();
        encoder.push(value)?;
        Some(PyBytes::new(value.py(), &encoder.finish().0))
    }

    /// The value that `encode` encoded.
    ///
    /// Raises ValueError if the bytes are damaged.
    #[pyfunction]
    fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        crate::fast::Decoder::new(data).pull(py)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::acquire::quicken::<PyLock>(py)?;
        crate::acquire::quicken::<PyRLock>(py)?;
        crate::acquire::quicken::<PySemaphore>(py)?;
        crate::quick::install::<crate::number::AddToNumber>(py)?;
        crate::quick::install::<crate::number::AddToNumbers>(py)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
