//! What a pool can be asked for.

use super::handle::Pool;
use super::job::Job;
use super::map_iter::{MapIter, MapUnordered};
use super::with::With;
use crate::error::TaskError;
use crate::function::{Function, must_capture_nothing};
use crate::message::Message;

impl Pool {
    /// Has a worker call a function. [`Job::join`] waits for what it returns.
    ///
    /// One argument is passed as it is, several are passed as a tuple, none as `()`.
    ///
    /// ```
    /// fn area(width: u32, height: u32) -> u32 {
    ///     width * height
    /// }
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     assert_eq!(pool.spawn(area, (3, 4)).join()?, 12);
    ///
    ///     let squares: Vec<_> = (0..25).map(|n: u64| pool.spawn(|n| n * n, n)).collect();
    ///     let mut sum = 0;
    ///     for square in squares {
    ///         sum += square.join()?;
    ///     }
    ///     assert_eq!(sum, 4900);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// All of them are errors of [`Job::join`], also if nothing could be sent.
    /// - [`Panicked`](crate::ErrorKind::Panicked): the function panicked.
    /// - [`Crashed`](crate::ErrorKind::Crashed): the worker was killed, or called `exit`.
    /// - [`Codec`](crate::ErrorKind::Codec): the input or the result could not be encoded or
    ///   decoded.
    /// - [`Cancelled`](crate::ErrorKind::Cancelled): the job was [cancelled](Job::cancel).
    /// - [`Closed`](crate::ErrorKind::Closed): the pool was closed or terminated before.
    /// - [`Terminated`](crate::ErrorKind::Terminated): the pool was terminated meanwhile.
    /// - [`Broken`](crate::ErrorKind::Broken): no worker can be set up.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the function belongs to a shared
    ///   library.
    /// - [`ForkedChild`](crate::ErrorKind::ForkedChild): this process is a `fork` of the one whose
    ///   pool it is.
    /// - [`Io`](crate::ErrorKind::Io): there is no memory for the input or the result.
    #[doc(alias = "apply")]
    #[doc(alias = "apply_async")]
    pub fn spawn<F, Form, Input>(&self, function: F, input: Input) -> Job<F::Output>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
        const { must_capture_nothing::<F>() }
        Job::of_call(With::new(self, None).send_one(function, input))
    }

    /// Calls a function for each item; gives what it returned, in the order of the items.
    ///
    /// Items are sent by chunks, four for each worker; see [`chunk_size`](Pool::chunk_size). A
    /// function of several arguments takes items that are tuples.
    ///
    /// # Errors
    /// As [`spawn`](Pool::spawn). It is that of the first item that has one; all others are called
    /// too. But if a worker dies, nothing that has not begun is begun any more.
    pub fn map<F, Form, I>(&self, function: F, items: I) -> Result<Vec<F::Output>, TaskError>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        With::new(self, None).mapped(function, items)
    }

    /// As [`map`](Pool::map), but each item has a result of its own, and all are called, whatever
    /// becomes of others.
    ///
    /// ```
    /// use millpond::{ErrorKind, Pool};
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let halves = |n: u32| if n % 2 == 0 { n / 2 } else { panic!("{n} is odd") };
    ///     let results = Pool::new(2)?.try_map(halves, [2, 3, 4]);
    ///     assert_eq!(*results[0].as_ref().unwrap(), 1);
    ///     assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::Panicked);
    ///     assert_eq!(*results[2].as_ref().unwrap(), 2);
    ///     Ok(())
    /// }
    /// ```
    pub fn try_map<F, Form, I>(&self, function: F, items: I) -> Vec<Result<F::Output, TaskError>>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        With::new(self, None).tried(function, items)
    }

    /// Calls a function for each item, for what it does.
    ///
    /// # Errors
    /// As [`map`](Pool::map).
    pub fn for_each<F, Form, I>(&self, function: F, items: I) -> Result<(), TaskError>
    where
        F: Function<I::Item, Form, Output = ()>,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        With::new(self, None).mapped(function, items).map(drop)
    }

    /// As [`map`](Pool::map), but does not wait for the results. All errors are errors of
    /// [`Job::join`].
    #[doc(alias = "map_async")]
    pub fn spawn_map<F, Form, I>(&self, function: F, items: I) -> Job<Vec<F::Output>>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        Job::of_map(With::new(self, None).send_all(function, items))
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
    ///     let squares: Vec<u64> = pool.map_iter(|n: u64| n * n, 1..).take(4).collect::<Result<_, _>>()?;
    ///     assert_eq!(squares, [1, 4, 9, 16]);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "imap")]
    pub fn map_iter<F, Form, I>(&self, function: F, items: I) -> MapIter<I::IntoIter, F::Output>
    where
        F: Function<I::Item, Form>,
        F::Output: Message,
        I: IntoIterator,
        I::Item: Message,
    {
        const { must_capture_nothing::<F>() }
        let job = With::new(self, None).job::<F, Form, I::Item>(function, 1, false);
        MapIter::new(job, items.into_iter())
    }

    /// As [`map_iter`](Pool::map_iter), but with the results in the order in which they come.
    #[doc(alias = "imap_unordered")]
    pub fn map_unordered<F, Form, I>(
        &self,
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
        let job = With::new(self, None).job::<F, Form, I::Item>(function, 1, false);
        MapUnordered::new(job, items.into_iter())
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
    ///     let lengths = pool.chunk_size(50).map_iter(|n: u32| n.to_string().len(), 0..1000);
    ///     assert_eq!(lengths.sum::<Result<usize, _>>()?, 10 + 2 * 90 + 3 * 900);
    ///     Ok(())
    /// }
    /// ```
    pub fn chunk_size(&self, size: usize) -> With<'_> {
        With::new(self, Some(size))
    }

    /// This pool, for calls with a [`timeout`](With::timeout), [`retries`](With::retries) or a
    /// [`priority`](With::priority).
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::new(2)?;
    ///     let urgent = pool.with().priority(1).retries(1);
    ///     assert_eq!(urgent.spawn(|n: u64| n + 1, 1).join()?, 2);
    ///     assert_eq!(urgent.map(|n: u64| n + 1, 0..3)?, [1, 2, 3]);
    ///     Ok(())
    /// }
    /// ```
    pub fn with(&self) -> With<'_> {
        With::new(self, None)
    }
}
