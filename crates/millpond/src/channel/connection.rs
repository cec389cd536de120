//! Pipes: two channels, one each way.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::create::channel;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::error::{RecvError, RecvTimeoutError, Result, TryRecvError};
use crate::message::Message;
use crate::queue::SendError;

/// One end of a [`pipe`]: it sends values of type `S` and receives those of type `R`.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Connection<S, R> {
    sender: Sender<S>,
    receiver: Receiver<R>,
}

/// A new pair of connected ends: what one sends the other receives.
///
/// ```
/// use millpond::Connection;
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let (ours, theirs) = millpond::pipe()?;
///     let measure = |lengths: Connection<usize, String>| {
///         while let Some(text) = lengths.recv().unwrap() {
///             lengths.send(text.len()).unwrap();
///         }
///     };
///     let child = millpond::spawn(measure, theirs)?;
///     ours.send("four".to_owned())?;
///     assert_eq!(ours.recv()?, Some(4));
///     drop(ours);
///     Ok(child.join()?)
/// }
/// ```
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) when memory or file descriptors have run out.
pub fn pipe<A: Message, B: Message>() -> Result<(Connection<A, B>, Connection<B, A>)> {
    let (to_second, from_first) = channel()?;
    let (to_first, from_second) = channel()?;
    let first = Connection { sender: to_second, receiver: from_second };
    Ok((first, Connection { sender: to_first, receiver: from_first }))
}

impl<S: Message, R: Message> Connection<S, R> {
    /// Sends a value to the other end.
    ///
    /// # Errors
    /// Those of [`Sender::send`].
    pub fn send(&self, value: S) -> Result<(), SendError<S>> {
        self.sender.send(value)
    }

    /// Receives a value from the other end; waits until there is one. `None` when the other end is
    /// gone.
    ///
    /// # Errors
    /// Those of [`Receiver::recv`].
    pub fn recv(&self) -> Result<Option<R>, RecvError> {
        self.receiver.recv()
    }

    /// Receives a value if one comes within `timeout`. `None` when the other end is gone.
    ///
    /// # Errors
    /// Those of [`Receiver::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<R>, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// Receives a value if there is one now. `None` when the other end is gone.
    ///
    /// # Errors
    /// Those of [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<Option<R>, TryRecvError> {
        self.receiver.try_recv()
    }
}

impl<S, R> Connection<S, R> {
    /// The half that sends.
    #[must_use]
    pub fn sender(&self) -> &Sender<S> {
        &self.sender
    }

    /// The half that receives.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<R> {
        &self.receiver
    }

    /// Both halves, each on its own.
    #[must_use]
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (self.sender, self.receiver)
    }
}

impl<S, R> Clone for Connection<S, R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), receiver: self.receiver.clone() }
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Connection");
        debug.field("sender", &self.sender).field("receiver", &self.receiver).finish()
    }
}
