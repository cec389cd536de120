//! Timeouts as Python has them.

use std::time::{Duration, Instant};

/// Deadlines beyond this are none.
const LONGEST: f64 = 1e9;

/// When a wait of so many seconds ends; `None` if it never does.
pub(crate) fn deadline(timeout: Option<f64>) -> Option<Instant> {
    let timeout = timeout.filter(|t| *t < LONGEST)?.max(0.0);
    Instant::now().checked_add(Duration::try_from_secs_f64(timeout).ok()?)
}
