//! Payloads in shared memory, as Python buffers that give it back when the last view is gone.

use std::sync::Arc;

use millpond_core::pool::payload::Payload;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyByteArray;

use crate::once::once;

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
        let Some(address) = payload.lend(index) else {
            return Ok(PyByteArray::new(py, payload.part(index)).into_any());
        };
        let view = once(py, &VIEW, || {
            Ok(py.import("millpond._pickling.codec")?.getattr("view")?.unbind())
        })?;
        let owner = Self { _payload: Arc::clone(payload) };
        view.bind(py).call1((address, payload.part(index).len(), owner))
    }
}
