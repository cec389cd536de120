//! A pool that is to send items by a given number.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::async_result::{AsyncResult, all};
use super::handle::Pool;
use super::imap::{Imap, ImapUnordered};
use super::job::Job;
use super::shipped::Shipped;
use crate::error::{Cause, Result};
use crate::function::{Function, must_capture_nothing};
use millpond_core::pool::job::Target;

/// Chunks for each worker, where their size is not given: enough to even out items that take
/// longer, few enough to cost nothing.
const CHUNKS_EACH: usize = 4;

/// A [`Pool`] with a chunk size, from [`Pool::chunk_size`]: the same methods for many items.
#[derive(Clone, Copy, Debug)]
pub struct Chunked<'pool> {
    pool: &'pool Pool,
    size: Option<usize>,
}

impl<'pool> Chunked<'pool> {
    pub(super) fn new(pool: &'pool Pool, size: Option<usize>) -> Self {
        Self { pool, size }
    }

    /// As [`Pool::map`].
    ///
    /// # Errors
    /// As there, and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the chunk size is 0.
    pub fn map<F, I>(self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        let job = self.send_all(function, items)?;
        let Some(id) = job.id() else { return Ok(Vec::new()) };
        job.shared.wait(id, Target::All, None)?;
        let outcomes = job.shared.engine.take_all(id).map_err(|error| job.shared.error(error))?;
        all(&job, &outcomes)
    }

    /// As [`Pool::map_async`].
    ///
    /// # Errors
    /// As there, and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the chunk size is 0.
    pub fn map_async<F, I>(self, function: F, items: I) -> Result<AsyncResult<Vec<F::Output>>>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        self.send_all(function, items).map(AsyncResult::of_map)
    }

    /// As [`Pool::imap`]. A chunk size of 0 is the iterator's only item, an error.
    pub fn imap<F, I>(self, function: F, items: I) -> Imap<I::IntoIter, F::Output>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        Imap::new(self.job::<F, I::Item>(function, 1, false), items.into_iter())
    }

    /// As [`Pool::imap_unordered`]. A chunk size of 0 is the iterator's only item, an error.
    pub fn imap_unordered<F, I>(
        self,
        function: F,
        items: I,
    ) -> ImapUnordered<I::IntoIter, F::Output>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        ImapUnordered::new(self.job::<F, I::Item>(function, 1, false), items.into_iter())
    }

    /// A job that has all items.
    fn send_all<F, I>(self, function: F, items: I) -> Result<Job>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        let items = items.into_iter();
        match (items.size_hint(), self.size) {
            ((_, _), Some(size)) => fill(self.job::<F, I::Item>(function, size, true)?, items),
            ((least, Some(most)), None) if least == most => {
                fill(self.job::<F, I::Item>(function, self.even(least), true)?, items)
            }
            _ => {
                // How many there are decides how they are cut.
                let items: Vec<_> = items.collect();
                let size = self.even(items.len());
                fill(self.job::<F, I::Item>(function, size, true)?, items)
            }
        }
    }

    fn even(&self, items: usize) -> usize {
        items.div_ceil(CHUNKS_EACH * self.pool.processes().max(1)).max(1)
    }

    fn job<F, A>(&self, function: F, automatic: usize, fail_fast: bool) -> Result<Job>
    where
        F: Function<(A,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        A: DeserializeOwned + 'static,
    {
        const { must_capture_nothing::<F>() }
        let size = self.size.unwrap_or(automatic);
        if size == 0 {
            let message = "a chunk has at least one item: give `chunk_size` a number from 1 on";
            return Err(Cause::InvalidInput(message.to_owned()).into());
        }
        let function = Shipped::of::<F, (A,)>(function)?;
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        Ok(Job::new(Arc::clone(&self.pool.shared), function, size, fail_fast))
    }
}

fn fill<A>(mut job: Job, items: impl IntoIterator<Item = A>) -> Result<Job>
where
    A: Serialize + DeserializeOwned + 'static,
{
    for item in items {
        if job.push(item)? && job.is_worth_sending() {
            job.send(false)?;
        }
    }
    job.send(true)?;
    Ok(job)
}
