//! Back-pressure: how many tasks may wait. README.md, "Back-pressure".

use crate::pool::handle::{Pool, PoolError};
use crate::pool::state::{Phase, State};
use crate::pool::waiting::Waited;

impl State {
    /// How many more tasks may be added; `None` without limit.
    fn room(&self) -> Option<usize> {
        let limit = self.config.max_pending?.saturating_add(self.size.bounds.most);
        let waiting = self.pending.len() + self.delayed.len();
        let unfinished = waiting + self.workers.in_flight() + self.reserved;
        // What streams has a limit of its own, and is not to take all the room.
        Some(limit.saturating_sub(unfinished.saturating_sub(self.jobs.streamed())))
    }

    /// Reserves room for up to so many tasks, or for all or none.
    fn reserve(&mut self, wanted: usize, all: bool) -> usize {
        let room = self.room().unwrap_or(usize::MAX);
        let granted = if all && room < wanted { 0 } else { room.min(wanted) };
        self.reserved += granted;
        granted
    }
}

impl Pool {
    /// Reserves room for up to `wanted` tasks, or for `all` of them or none, and returns for how many;
    /// 0 if there is none. Once they were added, or will not be, the room is to be
    /// [released](Self::release).
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn reserve(&self, wanted: usize, all: bool) -> Result<usize, PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        let mut granted = state.reserve(wanted, all);
        if granted == 0 {
            // Results that nobody has taken in make room.
            if state.work() {
                shared.tell_waiters(&state);
            }
            shared.hand_over(&mut state);
            granted = state.reserve(wanted, all);
        }
        Ok(granted)
    }

    /// Like [`reserve`](Self::reserve), but waits for room: 0 if the pool takes no more jobs.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn wait_to_reserve(&self, wanted: usize) -> Result<(Waited, usize), PoolError> {
        let mut granted = 0;
        let waited = self.wait_until(None, false, |state| {
            if !matches!(state.phase, Phase::Running) || state.ended {
                return Some(());
            }
            granted = state.reserve(wanted, false);
            (granted > 0).then_some(())
        })?;
        Ok((waited, granted))
    }

    /// Gives reserved room back.
    ///
    /// # Errors
    /// [`PoolError::ForeignProcess`].
    pub fn release(&self, count: usize) -> Result<(), PoolError> {
        let shared = self.shared()?;
        let mut state = shared.state();
        state.reserved = state.reserved.saturating_sub(count);
        shared.tell_waiters(&state);
        Ok(())
    }
}
