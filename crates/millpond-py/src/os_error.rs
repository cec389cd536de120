//! The system's errors as Python exceptions.

use std::borrow::Borrow;
use std::io;

use millpond_core::os::refused::Refused;
use pyo3::exceptions::{PyMemoryError, PyOSError};
use pyo3::prelude::*;

const EDQUOT: i32 = 122;

/// The exception for an error of the system: `MemoryError` for want of memory, else the `OSError`
/// of its number.
///
/// PyO3's own conversion leaves `errno` unset, which programs look at.
pub(crate) fn os_error(error: impl Borrow<io::Error>) -> PyErr {
    let error = error.borrow();
    exception(error, error.to_string())
}

/// The exception for an error of the system that says what it prevented.
pub(crate) fn os_error_in(prevented: &str, error: impl Borrow<io::Error>) -> PyErr {
    let error = error.borrow();
    exception(error, format!("{prevented}: {error}"))
}

fn exception(error: &io::Error, text: String) -> PyErr {
    if let Some(refused) = error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
        return PyOSError::new_err((refused.errno(), text));
    }
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull, _) => {
            PyMemoryError::new_err(text)
        }
        // Python chooses the subclass by the number, and has the number in its text itself.
        (_, Some(code)) => {
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((code, text))
        }
        (io::ErrorKind::QuotaExceeded, None) => PyOSError::new_err((EDQUOT, text)),
        (_, None) => PyOSError::new_err(text),
    }
}
