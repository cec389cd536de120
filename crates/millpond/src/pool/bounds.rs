//! What a pool keeps within.

use std::time::Duration;

use millpond_core::pool::size::Bounds;

use crate::error::{Cause, Result};

/// What a pool keeps within.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) least: Option<usize>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_pending: Option<usize>,
    pub(super) ageing: Option<Duration>,
}

impl Limits {
    /// The bounds of a pool of at most so many workers.
    pub(super) fn bounds(self, most: usize) -> Result<Bounds> {
        let least = self.least.unwrap_or(most);
        check_bounds(least, most)?;
        if self.max_pending == Some(0) {
            return Err(Cause::InvalidInput(
                "`max_pending` must be at least 1; leave it out for any number".to_owned(),
            )
            .into());
        }
        Ok(Bounds { least, most, idle_timeout: self.idle_timeout.unwrap_or(Bounds::IDLE_TIMEOUT) })
    }
}

pub(super) fn check_bounds(least: usize, most: usize) -> Result<()> {
    if least <= most {
        return Ok(());
    }
    let message = format!("a pool cannot have at least {least} and at most {most} workers");
    Err(Cause::InvalidInput(message).into())
}
