//! The end that receives.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millpond_core::channel::queue::End;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::endpoint_ref::EndpointRef;
use crate::error::{RecvError, RecvTimeoutError, Result, TryRecvError, until_end};
use crate::message::Message;
use crate::queue::transfer;
use crate::queue::turns::Wait;
use crate::queue::{Iter, TryIter};

/// The end of a [`channel`](crate::channel()) that receives. Each value reaches one receiver.
pub struct Receiver<T> {
    endpoint_ref: EndpointRef,
    values: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    pub(super) fn new(endpoint_ref: EndpointRef) -> Self {
        Self { endpoint_ref, values: PhantomData }
    }

    /// How many values wait to be received, at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.endpoint_ref.glance().len()).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing to receive, at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoint_ref.glance().is_empty()
    }

    /// How many values the channel may hold; `None` for any number.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.endpoint_ref.glance().capacity().map(|capacity| capacity as usize)
    }
}

impl<T: Message> Receiver<T> {
    /// Receives a value; waits until there is one. `None` when all senders are gone and what they
    /// sent was received.
    ///
    /// ```
    /// fn main() -> Result<(), millpond::Error> {
    ///     let (sender, receiver) = millpond::channel()?;
    ///     sender.send(5)?;
    ///     drop(sender);
    ///     let mut sum = 0;
    ///     // A failure ends the function, and is not taken for the end of the channel.
    ///     while let Some(number) = receiver.recv()? {
    ///         sum += number;
    ///     }
    ///     assert_eq!(sum, 5);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// - [`Decode`](RecvError::Decode): it cannot be decoded, and is lost.
    /// - [`Deadlock`](RecvError::Deadlock): nobody is left who could send one.
    /// - [`Failed`](RecvError::Failed): it cannot be mapped here, and stays, or the memory of the
    ///   channel is damaged.
    pub fn recv(&self) -> Result<Option<T>, RecvError> {
        until_end(transfer::get(self.endpoint_ref.engine(), Wait::Ever))
    }

    /// Receives a value if one comes within `timeout`. `None` when all senders are gone.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and those of [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<T>, RecvTimeoutError> {
        until_end(transfer::get(self.endpoint_ref.engine(), Wait::UpTo(timeout)))
    }

    /// Receives a value if there is one now. `None` when all senders are gone.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and those of [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<T>, TryRecvError> {
        until_end(transfer::get(self.endpoint_ref.engine(), Wait::Not))
    }

    /// Receives up to `most` values at once, at least one, for which it waits; see
    /// [`Queue::pop_many`](crate::Queue::pop_many). None when all senders are gone.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_many(&self, most: usize) -> Result<Vec<T>, RecvError> {
        let received = transfer::get_many(self.endpoint_ref.engine(), most, Wait::Ever);
        Ok(until_end::<_, RecvError>(received)?.unwrap_or_default())
    }

    /// Receives values until all senders are gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self.endpoint_ref.engine(), PhantomData)
    }

    /// Receives values until there is none at this moment.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self.endpoint_ref.engine(), PhantomData)
    }
}

impl<'a, T: Message> IntoIterator for &'a Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Receives values until all senders are gone; made by [`Receiver`]'s `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T: Message> Iterator for IntoIter<T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Result<T, RecvError>> {
        self.0.recv().transpose()
    }
}

impl<T: Message> IntoIterator for Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.endpoint_ref.clone())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Receiver");
        debug.field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.endpoint_ref.send(to)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        EndpointRef::receive(End::Consumers, from).map(Self::new)
    }
}
