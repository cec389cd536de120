//! How long a caller is ready to wait, and what to say when memory has run out.

use std::io;
use std::time::{Duration, Instant};

use crate::error::{Cause, Error};

/// When so much time will have passed; `None` if that is beyond all reckoning.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// What the system said when something was to be made.
pub(super) fn no_memory(source: io::Error) -> Error {
    Cause::Io { what: "make a shared object", source }.into()
}
