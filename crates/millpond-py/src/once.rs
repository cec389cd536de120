//! What is computed once, by calling Python.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The value in `cell`, which `compute` gives if it is empty.
///
/// Of several threads each may compute it, and the first one's stays: none waits for another, which
/// may hang for ever (see [`finalization`](crate::finalization)) or be missing in a forked child.
pub(crate) fn once<'a, T>(
    py: Python<'_>,
    cell: &'a PyOnceLock<T>,
    compute: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if let Some(value) = cell.get(py) {
        return Ok(value);
    }
    let value = compute()?;
    Ok(cell.get_or_init(py, || value))
}
