//! Receiving without blocking the thread that asks.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use millpond_core::os::signals;

use super::receiver::Receiver;
use crate::error::{Cause, Error, RecvError, RecvTimeoutError, Result, TryRecvError};
use crate::message::Message;

/// How often the thread that receives looks whether its values are still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// A [`Receiver`] for async functions, on any executor. From [`Receiver::into_async`].
///
/// It has a thread of its own, which waits for a value while one is asked for and none is there.
///
/// ```
/// # async fn sum(numbers: millpond::Receiver<u64>) -> Result<u64, millpond::Error> {
/// let mut numbers = numbers.into_async()?;
/// let mut sum = 0;
/// while let Some(number) = numbers.recv().await? {
///     sum += number;
/// }
/// # Ok(sum)
/// # }
/// ```
pub struct AsyncReceiver<T> {
    receiver: Arc<Receiver<T>>,
    desk: Arc<Desk<T>>,
}

/// Where the thread hands values over.
struct Desk<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The thread is to receive a value, or does.
    is_wanted: bool,
    /// Nobody will ask any more.
    is_over: bool,
    received: Option<Result<Option<T>, RecvError>>,
    waker: Option<Waker>,
}

impl<T: Message + Send> Receiver<T> {
    /// This receiver for async functions. It takes no value that is not asked for.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): no thread could be started.
    pub fn into_async(self) -> Result<AsyncReceiver<T>> {
        let state = State { is_wanted: false, is_over: false, received: None, waker: None };
        let desk = Arc::new(Desk { state: Mutex::new(state), changed: Condvar::new() });
        let receiver = Arc::new(self);
        let (from, to) = (Arc::clone(&receiver), Arc::clone(&desk));
        let run = move || {
            // Signals are for the program's own threads.
            let _ = signals::block_all();
            while to.receive(&from) {}
        };
        let started = thread::Builder::new().name("millpond-receiver".into()).spawn(run);
        let what = "start the thread that receives";
        started.map_err(|source| Error::from(Cause::Io { what, source }))?;
        Ok(AsyncReceiver { receiver, desk })
    }
}

impl<T: Message + Send> AsyncReceiver<T> {
    /// Receives a value; `None` when all senders are gone and what they sent was received.
    ///
    /// A future that is dropped before it was ready takes nothing: what comes for it is there for
    /// the next call. Only what has come when all of this is dropped is lost with it.
    ///
    /// # Errors
    /// Those of [`Receiver::recv`].
    pub async fn recv(&mut self) -> Result<Option<T>, RecvError> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// As [`recv`](Self::recv), for futures and streams that are written by hand.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, RecvError>> {
        let mut state = self.desk.state();
        if let Some(received) = state.received.take() {
            return Poll::Ready(received);
        }
        if !state.is_wanted {
            // The thread takes nothing now, so the order is kept.
            match self.receiver.try_recv() {
                Ok(received) => return Poll::Ready(Ok(received)),
                Err(TryRecvError::Failed(error)) => return Poll::Ready(Err(error)),
                Err(TryRecvError::Empty) => {}
            }
            state.is_wanted = true;
            self.desk.changed.notify_one();
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Desk<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic leaves the state as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Message> Desk<T> {
    /// Receives one value when it is wanted; `false` when none will be.
    fn receive(&self, from: &Receiver<T>) -> bool {
        let mut state = self.state();
        while !state.is_wanted && !state.is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let received = loop {
            if state.is_over {
                return false;
            }
            drop(state);
            let received = from.recv_timeout(LOOK);
            state = self.state();
            match received {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Failed(error)) => break Err(error),
                Ok(received) => break Ok(received),
            }
        };
        state.received = Some(received);
        state.is_wanted = false;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

impl<T> Drop for AsyncReceiver<T> {
    fn drop(&mut self) {
        self.desk.state().is_over = true;
        self.desk.changed.notify_one();
    }
}

impl<T> fmt::Debug for AsyncReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncReceiver").field(&self.receiver).finish()
    }
}
