//! What a pool can be asked for.

use std::slice;
use std::sync::Arc;

use millpond_core::pool::job::Target;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::async_result::{AsyncResult, single};
use super::chunked::Chunked;
use super::handle::Pool;
use super::imap::{Imap, ImapUnordered};
use super::job::Job;
use super::shipped::Shipped;
use crate::error::Result;
use crate::function::{Function, must_capture_nothing};

impl Pool {
    /// Calls a function in a worker and waits for what it returns.
    ///
    /// # Errors
    /// - [`Panicked`](crate::ErrorKind::Panicked): the function panicked.
    /// - [`Crashed`](crate::ErrorKind::Crashed): the worker was killed, or called `exit`.
    /// - [`Codec`](crate::ErrorKind::Codec): the argument or the result could not be encoded or
    ///   decoded.
    /// - [`Closed`](crate::ErrorKind::Closed): the pool was closed or terminated before.
    /// - [`Terminated`](crate::ErrorKind::Terminated): the pool was terminated meanwhile.
    /// - [`Broken`](crate::ErrorKind::Broken): no worker can be set up.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the function belongs to a shared
    ///   library.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one whose
    ///   pool it is.
    /// - [`Io`](crate::ErrorKind::Io): there is no memory for the argument or the result.
    pub fn apply<F, A>(&self, function: F, argument: A) -> Result<F::Output>
    where
        F: Function<(A,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
    {
        let job = self.call(function, argument)?;
        let mut outcome = None;
        if let Some(id) = job.id() {
            job.shared.wait(id, Target::All, None)?;
            outcome = job.shared.engine.take(id, 0).map_err(|error| job.shared.error(error))?;
        }
        single(&job, slice::from_ref(&outcome))
    }

    /// Has a worker call a function, and does not wait for it.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     let squares: Vec<_> =
    ///         (0..25).map(|n: u64| pool.apply_async(|n| n * n, n)).collect::<Result<_, _>>()?;
    ///     let sum = squares.iter().map(|square| square.get()).sum::<Result<u64, _>>()?;
    ///     assert_eq!(sum, 4900);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Nothing is called, because the argument could not be encoded, or the pool takes nothing
    /// more. What goes wrong later is an error of [`AsyncResult::get`].
    pub fn apply_async<F, A>(&self, function: F, argument: A) -> Result<AsyncResult<F::Output>>
    where
        F: Function<(A,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
    {
        self.call(function, argument).map(AsyncResult::of_call)
    }

    fn call<F, A>(&self, function: F, argument: A) -> Result<Job>
    where
        F: Function<(A,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
    {
        const { must_capture_nothing::<F>() }
        let function = Shipped::of::<F, (A,)>(function)?;
        let mut job = Job::new(Arc::clone(&self.shared), function, 1, false);
        job.push(argument)?;
        job.send(true)?;
        Ok(job)
    }

    /// Calls a function for each item; gives what it returned, in the order of the items.
    ///
    /// Items are sent by chunks, four for each worker; see [`chunk_size`](Pool::chunk_size).
    ///
    /// # Errors
    /// As [`apply`](Pool::apply). It is that of the first item that has one; all others are called
    /// too. But if a worker dies, nothing that has not begun is begun any more.
    pub fn map<F, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        Chunked::new(self, None).map(function, items)
    }

    /// As [`map`](Pool::map), but does not wait for the results.
    ///
    /// # Errors
    /// Nothing comes of it, because an item could not be encoded, or the pool takes nothing more.
    /// What goes wrong later is an error of [`AsyncResult::get`].
    pub fn map_async<F, I>(&self, function: F, items: I) -> Result<AsyncResult<Vec<F::Output>>>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        Chunked::new(self, None).map_async(function, items)
    }

    /// Calls a function for each item, while the results are iterated over in the order of the
    /// items.
    ///
    /// Items are taken from the input as results are used: 256 ahead, or two for each worker if
    /// that is more, so the input may be endless. They are taken on the thread that iterates, and
    /// sent one by one unless there is a [`chunk_size`](Pool::chunk_size). Each has a result of
    /// its own; an error is the error of that item, and the iteration goes on behind it, except if
    /// the pool has ended.
    ///
    /// When the iterator is dropped, nothing more is taken; what was taken is called all the same.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     let squares: Vec<u64> = pool.imap(|n: u64| n * n, 1..).take(4).collect::<Result<_, _>>()?;
    ///     assert_eq!(squares, [1, 4, 9, 16]);
    ///     Ok(())
    /// }
    /// ```
    pub fn imap<F, I>(&self, function: F, items: I) -> Imap<I::IntoIter, F::Output>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        Chunked::new(self, None).imap(function, items)
    }

    /// As [`imap`](Pool::imap), but with the results in the order in which they come.
    pub fn imap_unordered<F, I>(
        &self,
        function: F,
        items: I,
    ) -> ImapUnordered<I::IntoIter, F::Output>
    where
        F: Function<(I::Item,)>,
        F::Output: Serialize + DeserializeOwned + 'static,
        I: IntoIterator,
        I::Item: Serialize + DeserializeOwned + 'static,
    {
        Chunked::new(self, None).imap_unordered(function, items)
    }

    /// This pool with a chunk size: how many items are sent to a worker at once.
    ///
    /// A chunk costs as much to send as a single item, so large chunks are better for functions
    /// that take microseconds. But what is sent together is lost together if its worker dies, and
    /// the results of a chunk arrive together.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     let lengths = pool.chunk_size(50).imap(|n: u32| n.to_string().len(), 0..1000);
    ///     assert_eq!(lengths.sum::<Result<usize, _>>()?, 10 + 2 * 90 + 3 * 900);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn chunk_size(&self, size: usize) -> Chunked<'_> {
        Chunked::new(self, Some(size))
    }
}
