//! Several stages for each item, fused into one task.

use std::fmt;
use std::marker::PhantomData;

use super::handle::Pool;
use crate::error::{Result, TaskError};
use crate::function::{materialise, must_capture_nothing};
use crate::message::Message;

/// Items on their way through the workers of a pool, from [`Pool::par`].
///
/// The stages of an item run one after the other in one worker, so only what goes in and what comes
/// out travels. As elsewhere, functions capture nothing. Nothing runs before [`collect`](Par::collect),
/// [`reduce`](Par::reduce), [`count`](Par::count) or [`for_each`](Par::for_each).
///
/// ```
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = millpond::Pool::new(2)?;
///     let squares = pool.par(0..10_u64).filter(|n| n % 2 == 1).map(|n| n * n);
///     assert_eq!(squares.collect()?, [1, 9, 25, 49, 81]);
///     let longest = pool.par(["a", "abc", "ab"].map(str::to_owned)).map(|word| word.len());
///     assert_eq!(longest.reduce(|a, b| a.max(b))?, Some(3));
///     Ok(())
/// }
/// ```
#[must_use = "nothing runs before the results are asked for"]
pub struct Par<'pool, S: Stage> {
    pool: &'pool Pool,
    items: Vec<S::Input>,
}

/// The stages of a [`Par`] so far.
pub trait Stage: 'static {
    /// What the first stage takes.
    type Input;
    /// What the last one gives.
    type Output;

    /// Has an item pass through all stages; `None` if one of them drops it.
    fn pass(item: Self::Input) -> Option<Self::Output>;
}

/// No stage.
#[derive(Debug)]
pub struct Items<T>(PhantomData<fn(T) -> T>);

/// A stage that makes something else of each item.
#[derive(Debug)]
pub struct Map<S, F>(PhantomData<fn(S, F)>);

/// A stage that drops some items.
#[derive(Debug)]
pub struct Filter<S, F>(PhantomData<fn(S, F)>);

impl<T: 'static> Stage for Items<T> {
    type Input = T;
    type Output = T;

    fn pass(item: T) -> Option<T> {
        Some(item)
    }
}

impl<S, F, R> Stage for Map<S, F>
where
    S: Stage,
    F: Fn(S::Output) -> R + Copy + Send + 'static,
{
    type Input = S::Input;
    type Output = R;

    fn pass(item: S::Input) -> Option<R> {
        S::pass(item).map(materialise::<F>())
    }
}

impl<S, F> Stage for Filter<S, F>
where
    S: Stage,
    F: Fn(&S::Output) -> bool + Copy + Send + 'static,
{
    type Input = S::Input;
    type Output = S::Output;

    fn pass(item: S::Input) -> Option<S::Output> {
        S::pass(item).filter(materialise::<F>())
    }
}

impl Pool {
    /// Has items pass through several stages, each item through all of them in one worker.
    pub fn par<I>(&self, items: I) -> Par<'_, Items<I::Item>>
    where
        I: IntoIterator,
        I::Item: 'static,
    {
        Par { pool: self, items: items.into_iter().collect() }
    }
}

impl<'pool, S: Stage> Par<'pool, S> {
    /// Makes something else of each item.
    pub fn map<F, R>(self, function: F) -> Par<'pool, Map<S, F>>
    where
        F: Fn(S::Output) -> R + Copy + Send + 'static,
    {
        const { must_capture_nothing::<F>() }
        let _ = function;
        Par { pool: self.pool, items: self.items }
    }

    /// Keeps the items for which the function gives `true`.
    pub fn filter<F>(self, function: F) -> Par<'pool, Filter<S, F>>
    where
        F: Fn(&S::Output) -> bool + Copy + Send + 'static,
    {
        const { must_capture_nothing::<F>() }
        let _ = function;
        Par { pool: self.pool, items: self.items }
    }
}

impl<S> Par<'_, S>
where
    S: Stage,
    S::Input: Message,
{
    /// What comes out, in the order of the items.
    ///
    /// # Errors
    /// Those of [`Pool::map`].
    pub fn collect(self) -> Result<Vec<S::Output>, TaskError>
    where
        S::Output: Message,
    {
        let passed = self.pool.map(S::pass, self.items)?;
        Ok(passed.into_iter().flatten().collect())
    }

    /// How many items come out.
    ///
    /// # Errors
    /// Those of [`Pool::map`].
    pub fn count(self) -> Result<usize, TaskError> {
        let passed = self.pool.map(|item: S::Input| S::pass(item).is_some(), self.items)?;
        Ok(passed.into_iter().filter(|&passed| passed).count())
    }

    /// Calls a function for each item that comes out, for what it does.
    ///
    /// # Errors
    /// Those of [`Pool::map`].
    pub fn for_each<F>(self, function: F) -> Result<(), TaskError>
    where
        F: Fn(S::Output) + Copy + Send + 'static,
    {
        const { must_capture_nothing::<F>() }
        let _ = function;
        self.pool.for_each(
            |item: S::Input| {
                let _: Option<()> = Map::<S, F>::pass(item);
            },
            self.items,
        )
    }

    /// All that comes out, made one by a function of two; `None` if nothing comes out.
    ///
    /// Each worker reduces what it has before it sends it, so the function should be associative:
    /// which items meet first is not known, but their order is kept.
    ///
    /// # Errors
    /// Those of [`Pool::map`], whose items are chunks here.
    #[doc(alias = "reduce_with")]
    pub fn reduce<F>(self, function: F) -> Result<Option<S::Output>, TaskError>
    where
        F: Fn(S::Output, S::Output) -> S::Output + Copy + Send + 'static,
        S::Output: Message,
    {
        const { must_capture_nothing::<F>() }
        let size = self.pool.chunk_for(self.items.len());
        let mut items = self.items.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: Vec<_> = items.by_ref().take(size).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let reduce_chunk =
            |chunk: Vec<S::Input>| chunk.into_iter().filter_map(S::pass).reduce(materialise::<F>());
        let reduced = self.pool.chunk_size(1).map(reduce_chunk, chunks)?;
        Ok(reduced.into_iter().flatten().reduce(function))
    }
}

impl<S: Stage> fmt::Debug for Par<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Par").field("pool", &self.pool).field("items", &self.items.len()).finish()
    }
}
