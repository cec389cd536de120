//! What a message is to own beside its bytes, while it is pickled.

use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

use millpond_core::channel::attachments::Attachments;
use millpond_core::os::inherited::duplicate;
use pyo3::prelude::*;

use crate::os_error::os_error;

/// Gathers what the handles in a message lead to; see `millpond._pickling.handles`.
#[pyclass(name = "Attachments", frozen, module = "millpond._engine")]
#[derive(Default)]
pub(crate) struct PyAttachments(Mutex<Attachments>);

impl PyAttachments {
    /// What was gathered.
    pub(crate) fn take(&self) -> Attachments {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl PyAttachments {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Attach the shared object of a wire handle that this process made.
    fn add(&self, wire_handle: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add_wire_handle(wire_handle);
    }

    /// Attach a duplicate of a descriptor; return its number among those.
    fn add_descriptor(&self, fd: RawFd) -> PyResult<usize> {
        let fd = duplicate(fd).map_err(os_error)?;
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).add_descriptor(fd))
    }
}
