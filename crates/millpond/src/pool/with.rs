//! A pool whose calls have options: how items are sent, how long each may take, how often each is tried.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::handle::Pool;
use super::job::{Job, all};
use super::map_iter::{MapIter, MapUnordered};
use super::shipped::Shipped;
use super::submission::Submission;
use crate::error::{Cause, Error, Result, TaskError};
use crate::function::{Function, must_capture_nothing};
use crate::message::Message;
use millpond_core::pool::job::Target;
use millpond_core::pool::options::TaskOptions;

/// Chunks for each worker, where their size is not given: enough to even out items that take
/// longer, few enough to cost nothing.
const CHUNKS_EACH: usize = 4;

/// A [`Pool`] whose calls have options, from [`Pool::with`] or [`Pool::chunk_size`]: the same
/// methods. It can be copied, and a copy changed.
///
/// With a [`timeout`](With::timeout) or [`retries`](With::retries) each item is sent by itself,
/// whatever the chunk size: only the item that takes too long or kills its worker fails.
///
/// ```
/// use std::time::Duration;
/// use millpond::{ErrorKind, Pool};
///
/// fn work(seconds: u64) -> u64 {
///     std::thread::sleep(Duration::from_secs(seconds));
///     seconds
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = Pool::new(2)?;
///     let limited = pool.with().timeout(Duration::from_millis(200));
///     let results = limited.try_map(work, [0, 600, 0]);
///     assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::TimedOut);
///     assert!(results[0].is_ok() && results[2].is_ok());
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it makes calls"]
pub struct With<'pool> {
    pool: &'pool Pool,
    size: Option<usize>,
    options: TaskOptions,
}

impl<'pool> With<'pool> {
    pub(super) fn new(pool: &'pool Pool, size: Option<usize>) -> Self {
        Self { pool, size, options: TaskOptions::DEFAULT }
    }

    /// How many items are sent to a worker at once; see [`Pool::chunk_size`].
    pub fn chunk_size(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }

    /// How long each item may take, from when a worker begins it. Then the worker is killed, with
    /// all processes that it has started, and another takes its place; the item's error is
    /// [`TimedOut`](crate::ErrorKind::TimedOut). No code of the worker's has a part in that: it holds
    /// for one that is stopped, or loops in C, as well.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How many more times an item is begun whose worker dies. Once it has killed two it is not
    /// tried again, however many are left. An item that panics or returns an error is not tried again.
    /// Input that contains handles is not sent again either.
    pub fn retries(mut self, count: u32) -> Self {
        self.options.retries = count;
        self
    }

    /// Whether an item that took too long is tried again, too; it is not, otherwise.
    pub fn retry_timeouts(mut self, yes: bool) -> Self {
        self.options.retry_on.timeouts = yes;
        self
    }

    /// How long an item waits before its first retry, and twice as long before each further one; it
    /// does not wait, otherwise.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.options.retry_delay = delay;
        self
    }

    /// Calls of a higher priority go first, also before those that were made earlier and have not
    /// begun. Others are worth one more for each minute for which they wait; see
    /// [`ageing`](crate::PoolBuilder::ageing). It is 0 otherwise.
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// As [`Pool::spawn`].
    pub fn spawn<F, Form, Input>(self, function: F, input: Input) -> Job<F::Output>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
        const { must_capture_nothing::<F>() }
        Job::of_call(self.send_one(function, input))
    }

    /// As [`Pool::map`].
    ///
    /// # Errors
    /// As there, and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the chunk size is 0.
    pub fn map<F, Form, I>(self, function: F, items: I) -> Result<Vec<F::Output>, TaskError>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        self.mapped(function, items)
    }

    /// As [`Pool::spawn_map`].
    pub fn spawn_map<F, Form, I>(self, function: F, items: I) -> Job<Vec<F::Output>>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        Job::of_map(self.send_all(function, items))
    }

    /// As [`Pool::try_map`]. A chunk size of 0 is an error of each item.
    pub fn try_map<F, Form, I>(self, function: F, items: I) -> Vec<Result<F::Output, TaskError>>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        self.tried(function, items)
    }

    /// As [`Pool::for_each`].
    ///
    /// # Errors
    /// As there, and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the chunk size is 0.
    pub fn for_each<F, Form, I>(self, function: F, items: I) -> Result<(), TaskError>
    where
        F: Function<I::Item, Form, Output = ()>,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        self.mapped(function, items).map(drop)
    }

    /// As [`Pool::map_iter`]. A chunk size of 0 is the iterator's only item, an error.
    pub fn map_iter<F, Form, I>(self, function: F, items: I) -> MapIter<I::IntoIter, F::Output>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        MapIter::new(self.job::<F, Form, I::Item>(function, 1, false), items.into_iter())
    }

    /// As [`Pool::map_unordered`]. A chunk size of 0 is the iterator's only item, an error.
    pub fn map_unordered<F, Form, I>(
        self,
        function: F,
        items: I,
    ) -> MapUnordered<I::IntoIter, F::Output>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        MapUnordered::new(self.job::<F, Form, I::Item>(function, 1, false), items.into_iter())
    }

    // The public methods see to it that functions capture nothing. If one of them called another,
    // the compiler would say so twice.

    pub(super) fn mapped<F, Form, I>(
        self,
        function: F,
        items: I,
    ) -> Result<Vec<F::Output>, TaskError>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        let sent = self.send_all(function, items)?;
        if let Some(id) = sent.id() {
            sent.shared.wait(id, Target::All, None)?;
        }
        Ok(all(&sent, &sent.outcomes()?)?)
    }

    pub(super) fn tried<F, Form, I>(
        self,
        function: F,
        items: I,
    ) -> Vec<Result<F::Output, TaskError>>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        let items: Vec<_> = items.into_iter().collect();
        let count = items.len();
        let sent = self.job::<F, Form, I::Item>(function, self.even(count), false);
        let mut results: Vec<_> = MapIter::new(sent, items.into_iter()).collect();
        // Once the pool has ended nothing more is sent, so one error stands for all that is left.
        while results.len() < count {
            let error = Error::from(Cause::NotSent).about(self.pool.shared.subject());
            results.push(Err(error.into()));
        }
        results
    }

    /// A job of a single call.
    pub(super) fn send_one<F, Form, Input>(self, function: F, input: Input) -> Result<Submission>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
        let function = Shipped::of::<F, Form, Input>(function)?;
        let mut sent =
            Submission::new(Arc::clone(&self.pool.shared), function, 1, false, self.options);
        sent.single = true;
        sent.push(input)?;
        sent.send(true)?;
        Ok(sent)
    }

    /// A job that has all items.
    pub(super) fn send_all<F, Form, I>(self, function: F, items: I) -> Result<Submission>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        let items = items.into_iter();
        match (items.size_hint(), self.size) {
            ((_, _), Some(size)) => {
                fill(self.job::<F, Form, I::Item>(function, size, true)?, items)
            }
            ((least, Some(most)), None) if least == most => {
                fill(self.job::<F, Form, I::Item>(function, self.even(least), true)?, items)
            }
            _ => {
                // How many there are decides how they are cut.
                let items: Vec<_> = items.collect();
                let size = self.even(items.len());
                fill(self.job::<F, Form, I::Item>(function, size, true)?, items)
            }
        }
    }

    fn even(&self, items: usize) -> usize {
        self.pool.chunk_for(items)
    }

    pub(super) fn job<F, Form, A>(
        &self,
        function: F,
        automatic: usize,
        fail_fast: bool,
    ) -> Result<Submission>
    where
        F: Function<A, Form>,
        F::Output: Message,
        A: DeserializeOwned + 'static,
    {
        let size = self.size.unwrap_or(automatic);
        if size == 0 {
            let message = "a chunk has at least one item: give `chunk_size` a number from 1 on";
            return Err(Cause::InvalidInput(message.to_owned()).into());
        }
        let function = Shipped::of::<F, Form, A>(function)?;
        let is_itemized = self.options.timeout.is_some() || self.options.retries > 0;
        let size = if is_itemized { 1 } else { u32::try_from(size).unwrap_or(u32::MAX) };
        let shared = Arc::clone(&self.pool.shared);
        Ok(Submission::new(shared, function, size, fail_fast, self.options))
    }
}

impl Pool {
    /// The size of chunks by which so many items are sent, unless it is given.
    pub(super) fn chunk_for(&self, items: usize) -> usize {
        // It may be a pool without workers, for now.
        items.div_ceil(CHUNKS_EACH * self.workers().max(1)).max(1)
    }
}

fn fill<A>(mut job: Submission, items: impl IntoIterator<Item = A>) -> Result<Submission>
where
    A: Message,
{
    for item in items {
        if job.push(item)? && job.is_worth_sending() {
            job.send(false)?;
        }
    }
    job.send(true)?;
    Ok(job)
}
