//! The pool as its user holds it.

use std::fmt;
use std::sync::Arc;

use millpond_core::pool::stats::Stats;
use millpond_core::trace::Timeline;

use super::shared::{Shared, State};
use crate::error::{Cause, Result};

/// Worker processes that call functions for this one: a fixed number of them, or one [between
/// bounds](crate::PoolBuilder::workers_between), which can be [changed](Pool::resize).
///
/// The death of a worker, by whatever cause, fails the task that it was running, with an error that
/// says how it died; another worker takes its place, and everything else goes on. The workers end
/// with this process, however it ends.
///
/// | to call a function | in order | as they come | later |
/// |---|---|---|---|
/// | once | | | [`spawn`](Pool::spawn) |
/// | for each item | [`map`](Pool::map), [`try_map`](Pool::try_map), [`for_each`](Pool::for_each) | | [`spawn_map`](Pool::spawn_map) |
/// | for each item, lazily | [`map_iter`](Pool::map_iter) | [`map_unordered`](Pool::map_unordered) | |
///
/// All methods can be called from several threads at once. Several arguments are passed as a
/// tuple.
///
/// # Signals
///
/// Each worker is a process group of its own. So Ctrl-C at a terminal reaches this program alone,
/// which can let its workers finish or [end](Pool::terminate) them, and what code in a worker sends
/// to its group (`kill(0, …)`) reaches that worker alone. If this program dies of the signal, its
/// workers end with it, as ever. Processes of [`spawn`](crate::spawn()) stay in this program's
/// group, like those of [`std::process::Command`].
///
/// # End
///
/// Dropping a pool ends it, with what it is doing, and waits until its processes are gone.
/// To let it finish instead, [`close`](Pool::close) and [`join`](Pool::join) it.
///
/// ```
/// use millpond::{ErrorKind, Pool};
///
/// fn square(number: i64) -> i64 {
///     assert!(number < 100, "{number} is too much for me");
///     number * number
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = Pool::new(4)?;
///     assert_eq!(pool.spawn(square, 12).join()?, 144);
///     assert_eq!(pool.map(square, 1..=5)?, [1, 4, 9, 16, 25]);
///     assert_eq!(pool.map(|word: String| word.len(), ["a".to_owned(), "bc".to_owned()])?, [1, 2]);
///
///     let error = pool.map(square, 98..102).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::Panicked);
///     assert_eq!(error.panic_message(), Some("100 is too much for me"));
///     assert_eq!(error.task_index(), Some(2));
///     Ok(())
/// }
/// ```
///
/// What a closure captures would stay behind, so a closure that captures is refused when the
/// program is built; pass the value with the argument:
///
/// ```compile_fail,E0080
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let factor = std::env::args().count() as u64;
///     let pool = millpond::Pool::new(2)?;
///     pool.map(move |number: u64| number * factor, 0..10)?;
///     Ok(())
/// }
/// ```
pub struct Pool {
    pub(super) shared: Arc<Shared>,
}

impl Pool {
    pub(super) fn new_from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How many workers it keeps; at most, if it [grows and shrinks](Pool::size).
    #[must_use]
    #[doc(alias = "processes")]
    pub fn workers(&self) -> usize {
        // A fork has none.
        self.shared.engine.size().map_or(self.shared.processes, |size| size.bounds.most)
    }

    /// Takes nothing more. What was asked for is still done; then the workers end.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Ends the pool without finishing what it does: what has not ended fails with
    /// [`ErrorKind::Terminated`](crate::ErrorKind::Terminated). The workers get `SIGTERM` and, if
    /// they are still there five seconds later, `SIGKILL`.
    ///
    /// It does not wait for that; [`join`](Pool::join) does.
    pub fn terminate(&self) {
        self.shared.terminate();
    }

    /// Waits until no process of the pool is left, after [`close`](Pool::close) or
    /// [`terminate`](Pool::terminate).
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the pool was neither closed nor
    ///   terminated, so that this would wait for ever.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one whose
    ///   pool it is.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     let answer = pool.spawn(|n: u32| n + 1, 41);
    ///     assert!(pool.join().is_err());
    ///     pool.close();
    ///     pool.join()?;
    ///     assert_eq!(answer.join()?, 42);
    ///     Ok(())
    /// }
    /// ```
    pub fn join(&self) -> Result<()> {
        if self.shared.state() == State::Running {
            let message = "a pool that runs would be joined for ever; call `close()` or \
                           `terminate()` before `join()`";
            return Err(Cause::InvalidInput(message.to_owned()).into());
        }
        self.shared.wait_ended()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        // A fork has done nothing with it.
        self.shared.engine.stats().unwrap_or_default()
    }

    /// Which worker did what, and when, if that was to be [kept](crate::PoolBuilder::trace).
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::builder().workers(2).trace(true).build()?;
    ///     pool.map(|n: u64| n * n, 0..100)?;
    ///     let timeline = pool.timeline().unwrap();
    ///     assert_eq!(timeline.spans.len() as u64, pool.stats().finished);
    ///     assert!(timeline.to_svg().starts_with("<svg"));
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn timeline(&self) -> Option<Timeline> {
        self.shared.engine.timeline().ok().flatten()
    }

    /// The pids of the workers that are there now. Just after the start, and after the death of a
    /// worker, they are fewer than [`workers`](Pool::workers).
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        let workers = self.shared.engine.workers().unwrap_or_default();
        workers.iter().filter_map(|worker| worker.pid).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.terminate();
        // In a fork there is nothing to wait for.
        let _ = self.shared.wait_ended();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("state", &self.shared.state())
            .field("workers", &self.workers())
            .finish()
    }
}
