//! Waits of models notice no deaths: they look for the dead when a recheck interval is over.

use std::time::Duration;

use crate::os::futex::Woken;
use crate::sync::atomic::{Futex, wait};
use crate::sync::deadline::RECHECK_INTERVAL;

/// What one wait knows of deaths: nothing.
#[derive(Debug, Default)]
pub(crate) struct Deaths(());

impl Deaths {
    /// Whether it watches all of them.
    #[expect(clippy::unused_self, reason = "the engine's is asked")]
    pub(crate) fn are_heard(&self) -> bool {
        false
    }

    /// Sleeps while `word` holds `expected`, for at most `left` and a recheck interval.
    #[expect(clippy::unused_self, reason = "the engine's knows something")]
    pub(crate) fn sleep(
        &mut self,
        word: &impl Futex,
        expected: u32,
        left: Option<Duration>,
    ) -> Woken {
        let interval = left.map_or(RECHECK_INTERVAL, |left| left.min(RECHECK_INTERVAL));
        wait(word, expected, Some(interval))
    }
}
