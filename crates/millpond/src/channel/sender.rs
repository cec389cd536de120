//! The end that sends.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millpond_core::channel::queue::End;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::endpoint_ref::EndpointRef;
use crate::message::Message;
use crate::queue::transfer;
use crate::queue::turns::Wait;
use crate::queue::{SendError, SendManyError};

/// The end of a [`channel`](crate::channel()) that sends.
pub struct Sender<T> {
    endpoint_ref: EndpointRef,
    values: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    pub(super) fn new(endpoint_ref: EndpointRef) -> Self {
        Self { endpoint_ref, values: PhantomData }
    }

    /// How many values wait to be received, at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.endpoint_ref.glance().len()).unwrap_or(usize::MAX)
    }

    /// Whether all that was sent was received, at this moment.
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

impl<T: Message> Sender<T> {
    /// Sends a value; waits for room if the channel is bounded.
    ///
    /// # Errors
    /// The value comes back in them.
    /// - [`Disconnected`](crate::ErrorKind::Disconnected): all receivers are gone.
    /// - [`Codec`](crate::ErrorKind::Codec): it cannot be encoded, or would not arrive as it is.
    /// - [`Io`](crate::ErrorKind::Io): there is not enough memory.
    /// - [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_waiting(value, Wait::Ever)
    }

    /// Sends a value that the caller keeps, as [`send`](Self::send) does. For large ones that are
    /// sent more than once.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_ref(&self, value: &T) -> crate::Result<()> {
        transfer::put(self.endpoint_ref.engine(), value, Wait::Ever)
    }

    /// Sends a value if room is made within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), and those of [`send`](Self::send).
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_waiting(value, Wait::UpTo(timeout))
    }

    /// Sends a value if there is room now.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full), and those of [`send`](Self::send).
    pub fn try_send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_waiting(value, Wait::Not)
    }

    fn send_waiting(&self, value: T, wait: Wait) -> Result<(), SendError<T>> {
        transfer::put(self.endpoint_ref.engine(), &value, wait)
            .map_err(|error| SendError::new(value, error))
    }

    /// Sends values, as many at a time as there is room for; see
    /// [`Queue::push_many`](crate::Queue::push_many).
    ///
    /// # Errors
    /// Those of [`send`](Self::send), with the number of values that were sent before.
    pub fn send_many(&self, values: &[T]) -> Result<(), SendManyError> {
        transfer::put_many(self.endpoint_ref.engine(), values, Wait::Ever)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(self.endpoint_ref.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sender");
        debug.field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.endpoint_ref.send(to)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        EndpointRef::receive(End::Producers, from).map(Self::new)
    }
}
