//! The mutex: plain data behind a lock.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_core::sync::mutex as engine;
use millpond_core::sync::poison::Poisoned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::poison::{LockResult, TryLockError, TryLockResult, held, waited};
use super::timeout::{deadline, no_memory};
use super::{Payload, Plain};
use crate::error::Result;
use crate::wire_handle;

/// Plain data that one thread of one process at a time may read and write.
///
/// It is [`std::sync::Mutex`] for processes; threads of one process may use it too. The data lie in
/// shared memory as they are, so they must be [`Plain`]: numbers, arrays of them, and structs that
/// derive `Pod`.
///
/// ```
/// use millpond::bytemuck::{Pod, Zeroable};
/// use millpond::sync::Mutex;
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[bytemuck(crate = "millpond::bytemuck")]
/// #[repr(C)]
/// struct Stock {
///     apples: u32,
///     pears: u32,
/// }
///
/// fn buy(stock: Mutex<Stock>) {
///     let mut stock = stock.lock().unwrap();
///     stock.apples += 3;
///     stock.pears += 2;
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let stock = Mutex::new(Stock { apples: 0, pears: 5 })?;
///     millpond::spawn(buy, stock.clone())?.join()?;
///     let stock = stock.lock()?;
///     assert_eq!((stock.apples, stock.pears), (3, 7));
///     Ok(())
/// }
/// ```
///
/// A slice of plain data has its length for ever:
///
/// ```
/// # fn main() -> Result<(), millpond::Error> {
/// let numbers = millpond::sync::Mutex::from_slice(&[5, 3, 4])?;
/// numbers.lock()?.sort();
/// assert_eq!(*numbers.lock()?, [3, 4, 5]);
/// # Ok(())
/// # }
/// ```
///
/// What points elsewhere is refused when the program is built, as the pointer would mean nothing
/// in another process:
///
/// ```compile_fail,E0277
/// let names = millpond::sync::Mutex::new(vec!["Ada".to_owned()]);
/// ```
///
/// So is what cannot be made of any bytes, since a process may die while it writes one:
///
/// ```compile_fail,E0277
/// let ready = millpond::sync::Mutex::new(false);
/// ```
///
/// # Deaths and panics
///
/// When the holder is killed or fails, or panics, the next one gets the guard in a
/// [`PoisonError`](super::PoisonError), and after that the mutex is as any other. A holder that ends
/// [normally](super#deaths-and-panics) with a guard that it leaked keeps the mutex locked.
///
/// # Order
///
/// A free mutex goes to the first thread that tries. A thread that has waited for 1 ms goes before
/// newcomers from then on, so no thread starves.
pub struct Mutex<T: ?Sized>(Arc<engine::Mutex<T>>);

impl<T: Plain> Mutex<T> {
    /// A new mutex around a value.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn new(value: T) -> Result<Self> {
        engine::Mutex::new(value).map(|mutex| Self(Arc::new(mutex))).map_err(no_memory)
    }
}

impl<T: Plain> Mutex<[T]> {
    /// A new mutex around a copy of `values`, which are as many for ever.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn from_slice(values: &[T]) -> Result<Self> {
        engine::Mutex::from_slice(values).map(|mutex| Self(Arc::new(mutex))).map_err(no_memory)
    }

    /// A new mutex around `length` values of zero bytes.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn zeroed(length: usize) -> Result<Self> {
        engine::Mutex::zeroed(length).map(|mutex| Self(Arc::new(mutex))).map_err(no_memory)
    }
}

impl<T: ?Sized + Payload> Mutex<T> {
    /// Waits for the mutex.
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError) with the guard: the last holder died or panicked.
    ///
    /// # Panics
    /// If the calling thread has it already, as it would wait for itself.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        waited(self.lock_until(None))
    }

    /// Waits for the mutex, but not longer than `timeout`.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] then; [`TryLockError::Poisoned`] as by [`lock`](Self::lock).
    ///
    /// # Panics
    /// If the calling thread has it already.
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        self.lock_until(deadline(timeout))
    }

    /// Takes the mutex if it is free. Of a holder's death it may learn up to 50 ms later.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not; [`TryLockError::Poisoned`] as by
    /// [`lock`](Self::lock).
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use millpond::sync::{Mutex, TryLockError};
    ///
    /// let number = Mutex::new(1_u8)?;
    /// let guard = number.try_lock()?;
    /// assert!(matches!(number.try_lock(), Err(TryLockError::WouldBlock)));
    /// drop(guard);
    /// assert_eq!(*number.try_lock()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        guarded(self.0.try_lock())
    }

    #[inline]
    fn lock_until(&self, deadline: Option<Instant>) -> TryLockResult<MutexGuard<'_, T>> {
        guarded(self.0.lock(deadline))
    }

    /// The pid of the process that has it, at this moment.
    pub fn holder(&self) -> Option<u32> {
        self.0.holder().map(|holder| holder.pid())
    }
}

type Locked<'a, T> = (engine::Guard<'a, T>, Option<Poisoned>);

#[inline]
fn guarded<T: ?Sized + Payload>(
    locked: std::result::Result<Locked<'_, T>, engine::NotLocked>,
) -> TryLockResult<MutexGuard<'_, T>> {
    match locked {
        Ok((guard, news)) => Ok(held(MutexGuard(guard), news)?),
        Err(engine::NotLocked::Held) => Err(TryLockError::WouldBlock),
        Err(engine::NotLocked::Mine) => {
            panic!("this thread has locked this mutex already, and would wait for itself for ever")
        }
    }
}

impl<T: ?Sized> Clone for Mutex<T> {
    /// Another handle to the same mutex.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized + Payload> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("holder", &self.holder()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + Payload> Serialize for Mutex<T> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Mutex::<T>::KIND, to)
    }
}

impl<'de, T: ?Sized + Payload> Deserialize<'de> for Mutex<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let kind = engine::Mutex::<T>::KIND;
        wire_handle::receive(kind, from, engine::Mutex::open).map(|mutex| Self(Arc::new(mutex)))
    }
}

/// Access to the data of a [`Mutex`], which is given back when this is dropped.
///
/// A `fork` of the process has not got it, whatever lies in its memory.
#[must_use = "the mutex is given back when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized + Payload>(engine::Guard<'a, T>);

impl<'a, T: ?Sized + Payload> MutexGuard<'a, T> {
    /// Gives the mutex back, has `wait` wait for something, and locks it again.
    pub(super) fn unlocked<R>(self, wait: impl FnOnce() -> R) -> LockResult<(Self, R)> {
        let mutex = self.0.mutex();
        drop(self);
        let result = wait();
        match waited(guarded(mutex.lock(None))) {
            Ok(guard) => Ok((guard, result)),
            Err(error) => Err(error.map(|guard| (guard, result))),
        }
    }
}

impl<T: ?Sized + Payload> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + Payload> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: ?Sized + Payload + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: ?Sized + Payload + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
