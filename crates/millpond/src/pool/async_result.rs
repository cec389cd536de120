//! A result that is still to come.

use std::any::type_name;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpond_core::pool::job::Target;
use millpond_core::pool::task::{Outcome, Reason};
use serde::de::DeserializeOwned;

use super::job::Job;
use crate::error::{Cause, Result};

/// What came of the chunks of a job; `None` for what was given up.
type Outcomes = Vec<Option<Outcome>>;

/// What a pool will have made of an [`apply_async`](crate::Pool::apply_async) or a
/// [`map_async`](crate::Pool::map_async).
///
/// It can be shared between threads and outlives its pool. Dropping it gives up the result; the
/// call is made all the same.
///
/// ```
/// use std::time::Duration;
/// use millpond::{ErrorKind, Pool};
///
/// fn nap(milliseconds: u64) -> &'static str {
///     std::thread::sleep(Duration::from_millis(milliseconds));
///     "rested"
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = Pool::new(2)?;
///     let long = pool.apply_async(|ms: u64| nap(ms).to_owned(), 60_000)?;
///     let short = pool.apply_async(|ms: u64| nap(ms).to_owned(), 1)?;
///     assert_eq!(short.get()?, "rested");
///     assert_eq!(short.successful(), Some(true));
///     let error = long.get_timeout(Duration::from_millis(10)).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
///     assert!(!long.ready());
///     Ok(())
/// }
/// ```
#[must_use = "what it holds is lost when it is dropped"]
pub struct AsyncResult<T> {
    job: Job,
    /// Makes the value of what came.
    collect: fn(&Job, &[Option<Outcome>]) -> Result<T>,
    outcomes: Mutex<Option<Outcomes>>,
}

impl<R: DeserializeOwned + 'static> AsyncResult<R> {
    /// Of a job with one call, all of which was sent.
    pub(super) fn of_call(job: Job) -> Self {
        Self { job, collect: single, outcomes: Mutex::new(None) }
    }
}

impl<R: DeserializeOwned + 'static> AsyncResult<Vec<R>> {
    /// Of a job all of which was sent.
    pub(super) fn of_map(job: Job) -> Self {
        Self { job, collect: all, outcomes: Mutex::new(None) }
    }
}

impl<T> AsyncResult<T> {
    /// Waits for the result. Getting it again gives the same again, as a value of its own. The ends of
    /// channels in it keep those open from the first time on as any others do: as long as they live.
    ///
    /// # Errors
    /// Those of [`Pool::apply`](crate::Pool::apply) and [`Pool::map`](crate::Pool::map).
    pub fn get(&self) -> Result<T> {
        self.fetch(None)?;
        self.take_out()
    }

    /// As [`get`](AsyncResult::get), but waits for so long at most.
    ///
    /// # Errors
    /// As [`get`](AsyncResult::get), and [`TimedOut`](crate::ErrorKind::TimedOut) if it is not
    /// there by then. It may still come.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        // What is beyond the end of time is waited for without a limit.
        if self.fetch(Instant::now().checked_add(timeout))? {
            return self.take_out();
        }
        let index = (self.job.calls == 1).then_some(0);
        Err(self.job.error(index, Cause::TimedOut(timeout)))
    }

    /// Waits until the result is there, or known not to come.
    pub fn wait(&self) {
        // An error is there for `get`.
        let _ = self.fetch(None);
    }

    /// As [`wait`](AsyncResult::wait), but for so long at most. Whether it is there.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.fetch(Instant::now().checked_add(timeout)).unwrap_or(true)
    }

    /// Whether [`get`](AsyncResult::get) would return at once.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.outcomes().is_some() || self.job.is_over()
    }

    /// Whether [`get`](AsyncResult::get) would give a value; `None` as long as it would wait.
    #[must_use]
    pub fn successful(&self) -> Option<bool> {
        self.ready().then(|| self.fetch(None).is_ok() && self.collect().is_ok())
    }

    /// Whether it is there before the deadline.
    fn fetch(&self, deadline: Option<Instant>) -> Result<bool> {
        let Some(id) = self.job.id().filter(|_| self.outcomes().is_none()) else {
            return Ok(true);
        };
        // Not under the lock: others may ask whether it is ready meanwhile.
        let reached = self.job.shared.wait(id, Target::All, deadline)?;
        let mut outcomes = self.outcomes();
        if reached && outcomes.is_none() {
            let engine = &self.job.shared.engine;
            *outcomes = Some(engine.take_all(id).map_err(|error| self.job.shared.error(error))?);
        }
        Ok(reached)
    }

    /// The first value has the handles that are on their way in the result; later ones have copies.
    fn take_out(&self) -> Result<T> {
        let value = self.collect();
        for outcome in self.outcomes().iter().flatten().flatten() {
            if let Outcome::Finished { payload, .. } = outcome {
                payload.settle();
            }
        }
        value
    }

    fn collect(&self) -> Result<T> {
        (self.collect)(&self.job, self.outcomes().as_deref().unwrap_or_default())
    }

    fn outcomes(&self) -> MutexGuard<'_, Option<Outcomes>> {
        // A panic of a `Deserialize` leaves them as they are.
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of the only call.
pub(super) fn single<R: DeserializeOwned + 'static>(
    job: &Job,
    outcomes: &[Option<Outcome>],
) -> Result<R> {
    let mut result = None;
    if let Some(Some(outcome)) = outcomes.first() {
        job.calls(0, 1).results(outcome, |value| result = Some(value));
    }
    result.unwrap_or_else(|| Err(job.error(Some(0), Cause::Terminated)))
}

/// The results of all calls, or the first error.
pub(super) fn all<R: DeserializeOwned + 'static>(
    job: &Job,
    outcomes: &[Option<Outcome>],
) -> Result<Vec<R>> {
    let total = usize::try_from(job.calls).unwrap_or_default();
    let mut results = Vec::with_capacity(total);
    let mut failure = None;
    let mut first = 0;
    for outcome in outcomes {
        let left = u32::try_from(job.calls - first).unwrap_or(u32::MAX);
        let calls = job.calls(first, left.min(job.chunk));
        first += u64::from(calls.count);
        // What was given up for the sake of another chunk's failure is no failure itself.
        if let Some(outcome) = outcome
            && !matches!(outcome, Outcome::Cancelled(Reason::JobFailed))
        {
            calls.results(outcome, |result| match result {
                Ok(value) => results.push(value),
                Err(error) => failure = failure.take().or(Some(error)),
            });
        }
        if let Some(error) = failure {
            return Err(error);
        }
    }
    if results.len() == total { Ok(results) } else { Err(job.error(None, Cause::Terminated)) }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult")
            .field("function", &self.job.function.path)
            .field("of", &type_name::<T>())
            .field("ready", &self.ready())
            .finish()
    }
}
