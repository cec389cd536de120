//! What the primitives have in common: the errors of a misuse, and the interval of a waiter's
//! looks.

use std::time::Duration;

use crate::os::clock::monotonic_ns;
use crate::sync::atomic::{AtomicU32, Ordering};

/// How long a waiter sleeps at most before it looks for the dead, unless it would
/// notice a death.
pub const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Why a release is refused: the caller may not do it, or it cannot be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// No process holds it.
    NotHeld,
    /// Another thread or process holds it.
    NotOwner,
    /// It would have more permits than it may.
    TooManyReleases,
}

/// When a call last looked for the dead, in milliseconds of the monotonic clock. For calls that do
/// not wait: to look each time would cost too much.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct LastLook(AtomicU32);

impl LastLook {
    /// Whether it is time to look again; if so, the caller has to look.
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
