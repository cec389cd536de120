//! Payloads in shared memory, as Python buffers that give it back when the last view is gone.

use std::sync::Arc;

use millpond_core::pool::payload::Payload;
use millpond_core::shm::inheritance::are_copies_due;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyByteArray;

/// Keeps a payload alive for the views of its parts.
#[pyclass(frozen, module = "millpond._engine")]
pub(crate) struct Lent {
    _payload: Arc<Payload>,
}

impl Lent {
    /// A writable buffer over one part: in place if it lies in shared memory, else a copy.
    pub(crate) fn view<'py>(
        payload: &Arc<Payload>,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        static VIEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        // Copied too where forked children have been seen to inherit such memory.
        let in_place = payload.lent_address(index).filter(|_| !are_copies_due());
        let Some(address) = in_place else {
            return Ok(PyByteArray::new(py, payload.part(index)).into_any());
        };
        let view = VIEW.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("millpond._codec")?.getattr("view")?.unbind())
        })?;
        let owner = Self { _payload: Arc::clone(payload) };
        view.bind(py).call1((address, payload.part(index).len(), owner))
    }
}
