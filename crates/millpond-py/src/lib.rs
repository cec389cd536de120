//! The Python binding of millpond: the extension module `millpond._engine`.
//!
//! One class a file; each extracts its arguments, calls the engine, releasing the GIL where it may
//! wait, and converts the error. What must be Python is in `python/millpond`. The only `unsafe` is in
//! `finalization.rs`, `vectorcall.rs` and `zygote.rs`.

use pyo3::prelude::*;

mod acquire;
mod attachments;
mod barrier;
mod batch;
mod bytes;
mod codec;
mod condition;
mod connection;
mod deadlock;
mod event;
#[cfg(all(target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod finalization;
mod handle;
mod lent;
mod lock;
mod number;
mod once;
mod os_error;
mod outcome;
mod plain;
mod pool;
mod queue;
mod rlock;
mod semaphore;
mod template;
mod vectorcall;
mod vectorcall_locks;
mod waiting;
mod worker;
mod zygote;

/// The engine behind the package `millpond`.
#[pymodule]
mod _engine {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;
    use pyo3::sync::PyOnceLock;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use crate::attachments::PyAttachments;
    #[pymodule_export]
    use crate::barrier::PyBarrier;
    #[pymodule_export]
    use crate::bytes::PySharedBytes;
    #[pymodule_export]
    use crate::condition::PyCondition;
    #[pymodule_export]
    use crate::connection::{PyConnection, PyRings, is_pipe, pipe, wait_readable};
    #[pymodule_export]
    use crate::deadlock::{enable_deadlock_errors, has_signal_handlers};
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
    use crate::template::{PyForkedZygote, PyTemplateClient};
    #[pymodule_export]
    use crate::worker::{Progress, PyWorker};
    #[pymodule_export]
    use crate::zygote::{PyNewWorker, PyZygoteFds, fork_in_vain, serve_template};

    /// Return the number of CPUs that this process may use, by its affinity and its cgroup's quota.
    #[pyfunction]
    fn cpu_count() -> usize {
        millpond_core::cpu::cpu_count()
    }

    /// Wait until all objects that this process has sent have arrived; return whether they have.
    ///
    /// Args:
    ///     timeout: how many seconds to wait at most.
    #[pyfunction]
    fn wait_for_arrivals(py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let deadline = crate::waiting::deadline(Some(timeout))?;
        let wait = |until| millpond_core::shm::in_transit::wait_for_arrivals(until).then_some(());
        Ok(crate::waiting::wait(py, deadline, wait)?.is_some())
    }

    /// Keep the locks and permits that this process holds from being freed by its normal end.
    #[pyfunction]
    fn keep_holdings(py: Python<'_>) {
        py.detach(millpond_core::shm::holdings::keep);
    }

    /// Return a plain value in the plain codec's format; None if it is not for the plain codec.
    #[pyfunction]
    fn encode<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
        let mut encoder = crate::plain::Encoder::default();
        encoder.push(value)?;
        Some(PyBytes::new(value.py(), &encoder.finish().0))
    }

    /// Return the value that `encode` encoded.
    ///
    /// Raises:
    ///     ValueError: the bytes are damaged.
    #[pyfunction]
    fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        crate::plain::Decoder::new(data).pull(py)
    }

    /// The first interpreter of the process that loads this has it: what the engine keeps of
    /// Python, classes among other things, is that interpreter's, and of no use once it is gone.
    fn claim(py: Python<'_>) -> PyResult<()> {
        static FIRST: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        // Each interpreter has a `sys` of its own. This one stays, so no other gets its address.
        let own = py.import("sys")?;
        if FIRST.get_or_init(py, || own.clone().unbind()).is(&own) {
            return Ok(());
        }
        Err(PyImportError::new_err("another interpreter of this process has loaded it"))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        claim(py)?;
        crate::vectorcall_locks::install_fast_methods::<PyLock>(py)?;
        crate::vectorcall_locks::install_fast_methods::<PyRLock>(py)?;
        crate::vectorcall_locks::install_fast_methods::<PySemaphore>(py)?;
        crate::vectorcall::install::<crate::number::AddToNumber>(py)?;
        crate::vectorcall::install::<crate::number::AddToNumbers>(py)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
