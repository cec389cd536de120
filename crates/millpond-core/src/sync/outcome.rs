//! How waits for primitives end.

use std::time::Duration;

use crate::os::clock::monotonic_ns;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::deadline::RECHECK_INTERVAL;

/// The caller is not the one who may do this, or it cannot be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// It is not held by anybody.
    NotHeld,
    /// It is held by somebody else.
    NotOwner,
    /// It would have more permits than it may.
    TooManyReleases,
}

/// When somebody last looked for the dead, in milliseconds of the monotonic clock. For those that
/// do not wait: to look each time would cost too much.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct LastLook(AtomicU32);

impl LastLook {
    /// Whether it is time to look again; then the caller is the one who looks.
    pub(crate) fn is_due(&self) -> bool {
        // Truncated: only differences count.
        let now = (monotonic_ns() / 1_000_000) as u32;
        // Relaxed: the time guards nothing; two that look at once do no harm.
        let passed = now.wrapping_sub(self.0.load(Ordering::Relaxed));
        if Duration::from_millis(passed.into()) < RECHECK_INTERVAL {
            return false;
        }
        self.0.store(now, Ordering::Relaxed);
        true
    }
}
