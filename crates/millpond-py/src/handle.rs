//! Handles to shared objects, on their way between processes.
//!
//! A class whose objects travel has three methods, which `millpond._pickling.handles` calls:
//! `_wire_handle(sent)`, `_fd()` and the class method `_open(wire_handle, fd)`; and its `__reduce__` is
//! [`reduce`]. A class that Python subclasses makes its object in `__new__`, with
//! [`made_or_opened`], and its `_open` is [`opened_as`].

use std::os::fd::{AsFd, AsRawFd, RawFd};

use millpond_core::os::inherited::adopt;
use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::shm::wire_handle::WireHandleError;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyType};

use crate::once::once;
use crate::os_error::os_error;

/// What pickle does with a handle.
pub(crate) fn reduce<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static REDUCE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = handle.py();
    let import = || Ok(py.import("millpond._pickling.handles")?.getattr("reduce")?.unbind());
    once(py, &REDUCE, import)?.bind(py).call1((handle,))
}

/// The bytes that lead to the object: by themselves if they are `sent`, else with its descriptor.
/// `None` stands for one process that is being started, which opens it once.
pub(crate) fn wire_handle<'py, T: SharedObject>(
    py: Python<'py>,
    shared: &Shared<T>,
    sent: Option<bool>,
) -> Bound<'py, PyBytes> {
    let wire_handle = match sent {
        Some(true) => shared.send(),
        Some(false) => shared.wire_handle(),
        None => shared.wire_handle_for_one(),
    };
    PyBytes::new(py, &wire_handle.encode())
}

/// The number of the descriptor of the memory that the object lies in.
pub(crate) fn fd<T: SharedObject>(shared: &Shared<T>) -> RawFd {
    shared.slot().region().as_fd().as_raw_fd()
}

/// The object that a wire handle leads to, behind a descriptor that was passed with it if there is
/// one.
pub(crate) fn open<T: SharedObject>(wire_handle: &[u8], fd: Option<RawFd>) -> PyResult<Shared<T>> {
    let fd = fd.map(adopt).transpose().map_err(os_error)?;
    Shared::open(wire_handle, fd).map_err(error)
}

/// What a class's `__new__` gets: a new object of zero bytes, or the one that [`opened_as`] names.
pub(crate) fn made_or_opened<T: SharedObject>(
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Shared<T>> {
    let handle = kwargs.and_then(|kwargs| kwargs.get_item(HANDLE).transpose()).transpose()?;
    match handle {
        Some(handle) => {
            let (wire_handle, fd): (Bound<'_, PyBytes>, Option<RawFd>) = handle.extract()?;
            open(wire_handle.as_bytes(), fd)
        }
        None => Shared::zeroed().map_err(os_error),
    }
}

/// An instance of `cls` for the object that a wire handle leads to; its `__init__` does not run.
pub(crate) fn opened_as<'py>(
    cls: &Bound<'py, PyType>,
    wire_handle: &Bound<'py, PyBytes>,
    fd: Option<RawFd>,
) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = PyDict::new(cls.py());
    kwargs.set_item(HANDLE, (wire_handle, fd))?;
    cls.call_method("__new__", (cls,), Some(&kwargs))
}

/// The argument of `__new__` by which it opens an object.
const HANDLE: &str = "_handle";

/// Why a wire handle does not lead anywhere, as an exception.
pub(crate) fn error(error: WireHandleError) -> PyErr {
    match error {
        WireHandleError::Damaged => PyValueError::new_err(error.to_string()),
        WireHandleError::System(error) => os_error(error),
        gone => PyOSError::new_err(gone.to_string()),
    }
}
