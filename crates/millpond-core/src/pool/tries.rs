//! `Tries`, how often a task that may be tried again was, and what became of it.

use std::time::Duration;

use crate::os::exit_status::ExitStatus;

/// A task that has killed so many workers is not tried again.
pub const POISON: usize = 2;

/// What is kept of a task of a job with retries, until it has ended.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// How often it was tried again.
    pub(crate) again: u32,
    /// The workers that it has killed.
    pub(crate) deaths: Vec<(u32, ExitStatus)>,
    /// Its arguments, if they are large: a task may write to the block that brings them.
    pub(crate) arguments: Option<Vec<u8>>,
}

impl Tries {
    /// How long the task waits before it is tried again for the `again`th time.
    pub(crate) fn delay(&self, first: Duration) -> Duration {
        first.saturating_mul(1 << self.again.saturating_sub(1).min(31))
    }
}
