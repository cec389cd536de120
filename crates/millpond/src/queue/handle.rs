//! The queue.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millpond_core::channel::queue::{Options, Queue as Engine};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{SendError, SendManyError};
use super::iter::{Iter, TryIter};
use super::transfer;
use super::turns::Wait;
use crate::error::{Cause, RecvError, RecvTimeoutError, Result};
use crate::message::Message;
use crate::wire_handle;

/// A first-in first-out queue of values, for any number of processes and threads that put and take.
///
/// A clone is the same queue, and so is what another process makes of it: a queue is a value that
/// can be an argument of a [process](crate::spawn()) or of a task of a [`Pool`](crate::Pool), and
/// can be sent through other queues and channels.
///
/// When [`push`](Self::push) returns, the value is in shared memory, whatever becomes of the process
/// that put it; so a child may be joined before its results are taken. A process that dies in the
/// middle of a put has put nothing, and one that dies in the middle of a [`pop`](Self::pop) costs
/// at most the value that it was taking. No other process is held up.
///
/// ```
/// use millpond::Queue;
///
/// fn squares(numbers: Vec<u64>, results: Queue<u64>) {
///     for number in numbers {
///         results.push(number * number).unwrap();
///     }
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let results = Queue::new()?;
///     millpond::spawn(squares, (vec![1, 2, 3], results.clone()))?.join()?;
///     assert_eq!(results.pop_many(10)?, [1, 4, 9]);
///     Ok(())
/// }
/// ```
///
/// A queue does not count its handles, so a process that waits is not told when all others are
/// gone; [`channel`](crate::channel()) is for that.
pub struct Queue<T> {
    engine: Engine,
    values: PhantomData<fn(T) -> T>,
}

impl<T: Message> Queue<T> {
    /// A new queue that holds any number of values, as far as there is memory.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) when memory or file descriptors have run out.
    pub fn new() -> Result<Self> {
        Self::create(None)
    }

    /// A new queue that holds up to `capacity` values. Putting one more blocks.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a capacity of 0;
    /// [`Io`](crate::ErrorKind::Io) when memory or file descriptors have run out.
    pub fn bounded(capacity: usize) -> Result<Self> {
        Self::create(Some(checked(capacity)?))
    }

    fn create(capacity: Option<u32>) -> Result<Self> {
        let engine = Engine::create(Options { capacity, ..Options::default() });
        let engine = engine.map_err(|source| Cause::Io { what: "make a queue", source })?;
        Ok(Self { engine, values: PhantomData })
    }

    /// Adds a value; waits for room if the queue is bounded.
    ///
    /// # Errors
    /// The value comes back in them.
    /// - [`Codec`](crate::ErrorKind::Codec): it cannot be encoded, or would not arrive as it is.
    /// - [`Io`](crate::ErrorKind::Io): there is not enough memory.
    /// - [`Corrupt`](crate::ErrorKind::Corrupt).
    #[doc(alias = "put")]
    pub fn push(&self, value: T) -> Result<(), SendError<T>> {
        self.push_waiting(value, Wait::Ever)
    }

    /// Adds a value that the caller keeps, as [`push`](Self::push) does. For large ones that are put
    /// more than once.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    pub fn push_ref(&self, value: &T) -> Result<()> {
        transfer::put(&self.engine, value, Wait::Ever)
    }

    /// Adds a value if room is made within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), and those of [`push`](Self::push).
    pub fn push_timeout(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.push_waiting(value, Wait::UpTo(timeout))
    }

    /// Adds a value if there is room now.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full), and those of [`push`](Self::push).
    pub fn try_push(&self, value: T) -> Result<(), SendError<T>> {
        self.push_waiting(value, Wait::Not)
    }

    fn push_waiting(&self, value: T, wait: Wait) -> Result<(), SendError<T>> {
        transfer::put(&self.engine, &value, wait).map_err(|error| SendError::new(value, error))
    }

    /// Adds values, as many at a time as there is room for: if there is room for all, they become
    /// visible at once, one behind the other. Much faster than one by one.
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// let queue = millpond::Queue::new()?;
    /// queue.push_many(&[1, 2, 3])?;
    /// assert_eq!(queue.pop_many(10)?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`push`](Self::push), with the number of values that were put before.
    pub fn push_many(&self, values: &[T]) -> Result<(), SendManyError> {
        transfer::put_many(&self.engine, values, Wait::Ever)
    }

    /// Takes a value; waits until there is one.
    ///
    /// # Errors
    /// - [`Decode`](RecvError::Decode): it cannot be decoded, and is lost.
    /// - [`Deadlock`](RecvError::Deadlock): nobody is left who could add one.
    /// - [`Failed`](RecvError::Failed): it cannot be mapped here, and stays, or the memory of the
    ///   queue is damaged.
    #[doc(alias = "get")]
    pub fn pop(&self) -> Result<T, RecvError> {
        Ok(transfer::get(&self.engine, Wait::Ever)?)
    }

    /// Takes a value if one comes within `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and those of [`pop`](Self::pop).
    pub fn pop_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        Ok(transfer::get(&self.engine, Wait::UpTo(timeout))?)
    }

    /// Takes a value if there is one now.
    ///
    /// # Errors
    /// Those of [`pop`](Self::pop).
    pub fn try_pop(&self) -> Result<Option<T>, RecvError> {
        Ok(transfer::try_get(&self.engine)?)
    }

    /// Takes up to `most` values at once, at least one, for which it waits. It may take fewer than
    /// there are.
    ///
    /// # Errors
    /// Those of [`pop`](Self::pop). If one of the values cannot be decoded, all that were taken
    /// with it are lost.
    pub fn pop_many(&self, most: usize) -> Result<Vec<T>, RecvError> {
        Ok(transfer::get_many(&self.engine, most, Wait::Ever)?)
    }

    /// Takes values for ever, and waits for each.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(&self.engine, PhantomData)
    }

    /// Takes values until there is none.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(&self.engine, PhantomData)
    }
}

impl<T> Queue<T> {
    /// How many values are in the queue, at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.engine.len()).unwrap_or(usize::MAX)
    }

    /// Whether there is no value to take, at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.engine.is_empty()
    }

    /// Whether a put would have to wait, at this moment.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.engine.is_full()
    }

    /// How many values it may hold; `None` for any number.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.engine.capacity().map(|capacity| capacity as usize)
    }
}

/// A capacity as the engine has it.
pub(crate) fn checked(capacity: usize) -> Result<u32> {
    if capacity == 0 {
        let message = "a queue that holds nothing is of no use: its capacity is at least 1";
        return Err(Cause::InvalidInput(message.to_owned()).into());
    }
    Ok(u32::try_from(capacity).unwrap_or(u32::MAX))
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Queue");
        debug.field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

impl<'a, T: Message> IntoIterator for &'a Queue<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.engine.slot(), Engine::KIND, to)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let engine = wire_handle::receive(Engine::KIND, from, Engine::in_slot)?;
        Ok(Self { engine, values: PhantomData })
    }
}
