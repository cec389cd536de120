//! Memory that processes share, for the objects that Python lays out in it.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use millpond_core::os::inherited::adopt;
use millpond_core::shm::bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::handle;
use crate::os_error::os_error;

/// Zeroed bytes that processes share.
///
/// They are mapped as long as the object lives; what is made over `address` keeps it.
#[pyclass(frozen, weakref, name = "SharedBytes", module = "millpond._engine")]
pub(crate) struct PySharedBytes {
    pub(crate) bytes: Arc<Bytes>,
}

#[pymethods]
impl PySharedBytes {
    /// `length` of them. Raises MemoryError when there are not as many.
    #[new]
    fn new(length: usize) -> PyResult<Self> {
        let bytes = Bytes::new(length).map_err(os_error)?;
        Ok(Self { bytes: Arc::new(bytes) })
    }

    /// The address of the first byte in this process.
    #[getter]
    fn address(&self) -> usize {
        self.bytes.start().as_ptr().addr()
    }

    fn __len__(&self) -> usize {
        self.bytes.length()
    }

    fn _wire_handle<'py>(&self, py: Python<'py>, sent: Option<bool>) -> Bound<'py, PyBytes> {
        let wire_handle =
            if sent == Some(true) { self.bytes.send() } else { self.bytes.wire_handle() };
        PyBytes::new(py, &wire_handle.encode())
    }

    fn _fd(&self) -> RawFd {
        self.bytes.as_fd().as_raw_fd()
    }

    #[staticmethod]
    #[pyo3(signature = (wire_handle, fd = None))]
    fn _open(wire_handle: &[u8], fd: Option<RawFd>) -> PyResult<Self> {
        let fd = fd.map(adopt).transpose().map_err(os_error)?;
        let bytes = Bytes::open(wire_handle, fd).map_err(handle::error)?;
        Ok(Self { bytes: Arc::new(bytes) })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        handle::reduce(slf.as_any())
    }
}
