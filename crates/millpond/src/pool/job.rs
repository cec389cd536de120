//! A result that is still to come.

use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use millpond_core::pool::job::Target;
use millpond_core::pool::task::{Outcome, Reason};
use serde::de::DeserializeOwned;

use super::awaiting::wake_when_over;
use super::submission::Submission;
use crate::error::{Cause, Error, Result, TaskError};

/// What a pool will have made of a [`spawn`](crate::Pool::spawn) or a
/// [`spawn_map`](crate::Pool::spawn_map).
///
/// It outlives its pool. Dropping it gives up the result; the call is made all the same, unless it
/// was [cancelled](Job::cancel).
///
/// ```
/// use std::time::Duration;
/// use millpond::{ErrorKind, Pool};
///
/// fn nap(milliseconds: u64) -> String {
///     std::thread::sleep(Duration::from_millis(milliseconds));
///     "rested".to_owned()
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = Pool::new(2)?;
///     let mut long = pool.spawn(nap, 60_000);
///     let short = pool.spawn(nap, 1);
///     assert_eq!(short.join()?, "rested");
///     let error = long.join_timeout(Duration::from_millis(10)).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
///     assert!(!long.is_finished());
///     Ok(())
/// }
/// ```
/// # Async
///
/// A job is a [`Future`] for any executor: nothing blocks, and one thread a pool wakes the tasks
/// whose jobs are over. [`Pool::spawn`](crate::Pool::spawn) itself waits for no task and no worker;
/// it copies the input, and takes a lock that is held for microseconds.
///
/// ```
/// # async fn handler(pool: &millpond::Pool) -> Result<u64, millpond::TaskError> {
/// let square = pool.spawn(|number: u64| number * number, 12).await?;
/// # Ok(square)
/// # }
/// ```
///
/// Dropping it, as `select!` and timeouts of executors do, gives up the result as elsewhere. With
/// [`cancel_on_drop`](Job::cancel_on_drop) it also keeps what has not begun from running.
#[doc(alias = "AsyncResult")]
#[must_use = "what it holds is lost when it is dropped"]
pub struct Job<T> {
    state: State,
    /// Makes the value of what came.
    collect: fn(&Submission, &[Option<Outcome>]) -> Result<T>,
    cancel_on_drop: bool,
    /// Whether a waker was left for it.
    is_awaited: bool,
}

enum State {
    Sent(Submission),
    /// Why nothing was sent.
    Failed(TaskError),
    /// The result was given.
    Taken,
}

impl<R: DeserializeOwned + 'static> Job<R> {
    /// Of a single call.
    pub(super) fn of_call(sent: Result<Submission>) -> Self {
        Self { state: State::new(sent), collect: single, cancel_on_drop: false, is_awaited: false }
    }
}

impl<R: DeserializeOwned + 'static> Job<Vec<R>> {
    /// Of a call for each of many items.
    pub(super) fn of_map(sent: Result<Submission>) -> Self {
        Self { state: State::new(sent), collect: all, cancel_on_drop: false, is_awaited: false }
    }
}

impl State {
    fn new(sent: Result<Submission>) -> Self {
        sent.map_or_else(|error| Self::Failed(error.into()), Self::Sent)
    }
}

impl<T> Job<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// Those of [`Pool::spawn`](crate::Pool::spawn) and [`Pool::map`](crate::Pool::map).
    #[doc(alias = "get")]
    pub fn join(mut self) -> Result<T, TaskError> {
        self.wait_until(None)?;
        self.take()
    }

    /// As [`join`](Job::join), but waits for so long at most.
    ///
    /// # Errors
    /// As [`join`](Job::join), and [`TimedOut`](crate::ErrorKind::TimedOut) if it is not there by
    /// then. It may still come, and can be waited for again. Once the result was given, a further
    /// call fails with [`InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<T, TaskError> {
        // What is beyond the end of time is waited for without a limit.
        if self.wait_until(Instant::now().checked_add(timeout))? {
            return self.take();
        }
        match &self.state {
            State::Sent(sent) => Err(sent.failed(Cause::TimedOut(timeout)).into()),
            // There is nothing to wait for.
            State::Failed(_) | State::Taken => self.take(),
        }
    }

    /// Waits until the result is there, or known not to come.
    pub fn wait(&self) {
        // An error is there for `join`.
        let _ = self.wait_until(None);
    }

    /// As [`wait`](Job::wait), but for so long at most. Whether it is there.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Instant::now().checked_add(timeout)).unwrap_or(true)
    }

    /// Whether [`join`](Job::join) would return at once.
    #[doc(alias = "ready")]
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Sent(sent) => sent.is_over(),
            State::Failed(_) | State::Taken => true,
        }
    }

    /// Keeps what no worker has begun from running; whether there was any such task. Those fail
    /// with [`Cancelled`](crate::ErrorKind::Cancelled). What has begun goes on.
    ///
    /// ```
    /// use millpond::ErrorKind;
    /// use millpond::sync::Event;
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(1)?;
    ///     let gate = Event::new()?;
    ///     let first = pool.spawn(|gate: Event| gate.wait(), gate.clone());
    ///     let second = pool.spawn(|n: u32| n + 1, 1);
    ///     assert!(second.cancel());
    ///     assert_eq!(second.join().unwrap_err().kind(), ErrorKind::Cancelled);
    ///     gate.set();
    ///     first.join()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn cancel(&self) -> bool {
        let State::Sent(sent) = &self.state else { return false };
        let Some(id) = sent.id() else { return false };
        // In a fork there is nothing to cancel.
        sent.shared.engine.cancel(Some(&[id])).is_ok_and(|cancelled| cancelled > 0)
    }

    /// Ends it as a whole, unless it is over: its error is [`Cancelled`](crate::ErrorKind::Cancelled).
    /// Workers that are at it are killed, with all processes that they have started, and replaced;
    /// no other call is lost. Returns whether it was not over.
    ///
    /// ```
    /// use millpond::ErrorKind;
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(1)?;
    ///     let endless = pool.spawn(|(): ()| -> () { loop { std::thread::park() } }, ());
    ///     assert!(endless.kill());
    ///     assert_eq!(endless.join().unwrap_err().kind(), ErrorKind::Cancelled);
    ///     assert_eq!(pool.spawn(|n: u32| n + 1, 1).join()?, 2);
    ///     Ok(())
    /// }
    /// ```
    pub fn kill(&self) -> bool {
        let State::Sent(sent) = &self.state else { return false };
        let Some(id) = sent.id() else { return false };
        sent.shared.engine.give_up(id, true).unwrap_or(false)
    }

    /// Whether dropping it [cancels](Job::cancel) it, which it does not otherwise.
    pub fn cancel_on_drop(mut self, yes: bool) -> Self {
        self.cancel_on_drop = yes;
        self
    }

    /// Whether it is there before the deadline.
    fn wait_until(&self, deadline: Option<Instant>) -> Result<bool> {
        let State::Sent(sent) = &self.state else { return Ok(true) };
        let Some(id) = sent.id() else { return Ok(true) };
        sent.shared.wait(id, Target::All, deadline)
    }

    fn forget_waker(&self) {
        if let State::Sent(sent) = &self.state
            && let Some(id) = sent.id().filter(|_| self.is_awaited)
        {
            drop(sent.shared.wakers.take(id));
        }
    }

    /// What came of it, when that is there.
    fn take(&mut self) -> Result<T, TaskError> {
        self.forget_waker();
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Sent(sent) => Ok(sent.outcomes().and_then(|all| (self.collect)(&sent, &all))?),
            State::Failed(error) => Err(error),
            State::Taken => Err(Error::from(Cause::taken()).into()),
        }
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, TaskError>;

    /// Once it was ready, it is ready with an error of the kind
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Sent(sent) = &self.state
            && let Some(id) = sent.id()
            && !sent.is_over()
        {
            let asked = wake_when_over(&sent.shared, id, context.waker());
            self.is_awaited = true;
            return match asked {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error.into())),
            };
        }
        Poll::Ready(self.take())
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.cancel();
        }
        self.forget_waker();
    }
}

/// The result of the only call.
pub(super) fn single<R: DeserializeOwned + 'static>(
    sent: &Submission,
    outcomes: &[Option<Outcome>],
) -> Result<R> {
    let mut result = None;
    if let Some(Some(outcome)) = outcomes.first() {
        sent.calls(0, 1).results(outcome, |value| result = Some(value));
    }
    result.unwrap_or_else(|| Err(sent.error(Some(0), Cause::Terminated)))
}

/// The results of all calls, or the first error.
pub(super) fn all<R: DeserializeOwned + 'static>(
    sent: &Submission,
    outcomes: &[Option<Outcome>],
) -> Result<Vec<R>> {
    let total = usize::try_from(sent.calls).unwrap_or_default();
    let mut results = Vec::with_capacity(total);
    let mut failure = None;
    let mut first = 0;
    for outcome in outcomes {
        let left = u32::try_from(sent.calls - first).unwrap_or(u32::MAX);
        let calls = sent.calls(first, left.min(sent.chunk));
        first += u64::from(calls.count);
        // What was given up for the sake of another chunk's failure is no failure itself.
        if let Some(outcome) = outcome
            && !matches!(outcome, Outcome::Cancelled(Reason::JobFailed))
        {
            calls.results(outcome, |result| match result {
                Ok(value) => results.push(value),
                // What crashed says more than what was lost with it.
                Err(error) if failure.as_ref().is_none_or(Error::is_loss) => {
                    failure = failure.take().filter(|_| error.is_loss()).or(Some(error));
                }
                Err(_) => {}
            });
        }
        if let Some(error) = failure {
            return Err(error);
        }
    }
    if results.len() == total { Ok(results) } else { Err(sent.error(None, Cause::Terminated)) }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = match &self.state {
            State::Sent(sent) => Some(sent.function.path),
            State::Failed(_) | State::Taken => None,
        };
        f.debug_struct("Job")
            .field("function", &function)
            .field("of", &type_name::<T>())
            .field("finished", &self.is_finished())
            .finish()
    }
}
