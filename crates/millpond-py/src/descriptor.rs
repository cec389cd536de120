//! Descriptors that Python code hands over.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use millpond_core::os::inherited;
use pyo3::prelude::*;

/// The number of a descriptor that a caller in Python gives away, as to `os.fdopen`. It can be made by
/// such a call alone.
pub(crate) struct Descriptor(RawFd);

impl Descriptor {
    pub(crate) fn number(&self) -> RawFd {
        self.0
    }

    /// Takes the descriptor over.
    pub(crate) fn adopt(self) -> io::Result<OwnedFd> {
        // SAFETY: giving its number to a function that owns it is how Python code passes a descriptor
        // on; after that it closes the number no more.
        unsafe { inherited::adopt(self.0) }
    }
}

impl<'py> FromPyObject<'_, 'py> for Descriptor {
    type Error = PyErr;

    fn extract(number: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        number.extract().map(Self)
    }
}
