//! Pools that grow and shrink, and how much may wait in them.

use std::time::Duration;

use millpond_core::pool::size::{Bounds, SizeInfo};

use super::bounds::check_bounds;
use super::builder::{PoolBuilder, check};
use super::handle::Pool;
use crate::error::Result;

impl PoolBuilder {
    /// At least and at most so many workers, instead of a fixed number: the pool grows while tasks wait
    /// that another worker would begin at once, and shrinks by workers that have nothing to do. `least`
    /// may be 0.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::builder()
    ///         .workers_between(0, 4)
    ///         .idle_timeout(Duration::from_secs(1))
    ///         .build()?;
    ///     assert_eq!(pool.size().workers, 0);
    ///     assert_eq!(pool.map(|n: u64| n + 1, 0..3)?, [1, 2, 3]);
    ///     pool.resize(2)?;
    ///     assert_eq!(pool.map(|n: u64| n + 1, 0..3)?, [1, 2, 3]);
    ///     Ok(())
    /// }
    /// ```
    pub fn workers_between(mut self, least: usize, most: usize) -> Self {
        self.workers = Some(most);
        self.limits.least = Some(least);
        self
    }

    /// How long a worker has nothing to do before it leaves, if there are more than the least number;
    /// 10 seconds otherwise.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// How many tasks (calls, or chunks of items) may wait, beside one for each worker that there may
    /// be. A thread that would add more waits for room, also in a call that does not wait for its
    /// result. Otherwise any number may.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::builder().workers(2).max_pending(8).build()?;
    ///     let squares = pool.map(|n: u64| n * n, 0..1000)?;
    ///     assert_eq!(squares[999], 998_001);
    ///     Ok(())
    /// }
    /// ```
    pub fn max_pending(mut self, count: usize) -> Self {
        self.limits.max_pending = Some(count);
        self
    }

    /// How long a task waits until it is worth as much as one that comes then and has the next higher
    /// priority; a minute otherwise, and for ever with [`Duration::MAX`].
    pub fn ageing(mut self, level: Duration) -> Self {
        self.limits.ageing = Some(level);
        self
    }
}

impl Pool {
    /// Has the pool have as many workers from now on; returns at once. One that is at a task leaves when
    /// that is done, and others do what it had not begun. Without workers, tasks wait until there are
    /// some; a pool that is closed has one as long as there is something to do.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): more workers than the limit of open files
    ///   allows, or a least number above the largest.
    /// - [`Closed`](crate::ErrorKind::Closed): the pool was terminated, or has ended.
    /// - [`Broken`](crate::ErrorKind::Broken): no worker can be set up.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one whose
    ///   pool it is.
    pub fn resize(&self, workers: usize) -> Result<()> {
        self.resize_between(workers, workers)
    }

    /// Like [`resize`](Self::resize), to at least and at most so many workers.
    ///
    /// # Errors
    /// As [`resize`](Self::resize).
    pub fn resize_between(&self, least: usize, most: usize) -> Result<()> {
        check_bounds(least, most)?;
        check(most.max(1), None)?;
        let idle_timeout = self.size().bounds.idle_timeout;
        let bounds = Bounds { least, most, idle_timeout };
        self.shared.engine.resize(bounds).map_err(|error| self.shared.error(error))
    }

    /// How large it is, and may be.
    #[must_use]
    pub fn size(&self) -> SizeInfo {
        // A fork has no workers.
        let none = SizeInfo { bounds: Bounds::default(), wanted: 0, workers: 0, left: 0 };
        self.shared.engine.size().unwrap_or(none)
    }
}
