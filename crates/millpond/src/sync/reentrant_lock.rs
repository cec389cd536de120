//! The reentrant lock: its owner may come again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::deadlock::is_sole_user;
use millpond_core::sync::poison::Hold;
use millpond_core::sync::rlock as engine;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lock::{ALONE, misuse};
use super::poison::{LockResult, TryLockResult, tried, waited};
use super::timeout::{deadline, no_memory};
use crate::deadlock::{is_deadlock, until_done};
use crate::error::{Cause, Result};
use crate::wire_handle;

/// A lock that the thread which holds it may take again, for functions that call each other. It is
/// free when it was given back as often.
///
/// ```
/// # fn main() -> Result<(), millpond::Error> {
/// let lock = millpond::sync::raw::ReentrantLock::new()?;
/// let outer = lock.lock()?;
/// let inner = lock.lock()?;
/// drop(outer);
/// assert_eq!(lock.holder(), Some(std::process::id()));
/// drop(inner);
/// assert_eq!(lock.holder(), None);
/// # Ok(())
/// # }
/// ```
///
/// When the holder is killed or fails, or panics while it has a guard, the next one learns of it by
/// a [`PoisonError`](super::PoisonError), and holds the lock all the same, once. A holder that ends
/// [normally](super#deaths-and-panics) keeps it.
#[doc(alias = "RLock")]
#[derive(Clone)]
pub struct ReentrantLock(Arc<Shared<engine::RLock>>);

impl ReentrantLock {
    /// A new lock, which is free.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn new() -> Result<Self> {
        Shared::zeroed().map(Self::from).map_err(no_memory)
    }

    #[inline]
    fn hold(&self) -> Hold {
        self.0.try_hold().or_else(|| self.hold_in_turns())
    }

    #[cold]
    fn hold_in_turns(&self) -> Hold {
        let is_over = |watch: &mut _| is_deadlock(watch, || is_sole_user(&**self.0));
        let held = until_done(|until| self.0.hold(until), is_over);
        Some(held.unwrap_or_else(|| panic!("{}", Cause::Deadlock(ALONE))))
    }

    fn guard(&self) -> ReentrantLockGuard<'_> {
        ReentrantLockGuard {
            lock: self,
            was_panicking: thread::panicking(),
            stays_in_thread: PhantomData,
        }
    }

    /// Waits for the lock, unless the calling thread holds it; it is given back once when the guard
    /// is dropped.
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError) with the guard: the last holder died or panicked.
    #[inline]
    pub fn lock(&self) -> LockResult<ReentrantLockGuard<'_>> {
        waited(tried(self.hold(), || self.guard()))
    }

    /// Waits for the lock, but not longer than `timeout`.
    ///
    /// # Errors
    /// [`WouldBlock`](super::TryLockError::WouldBlock) then;
    /// [`Poisoned`](super::TryLockError::Poisoned) as by [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<ReentrantLockGuard<'_>> {
        tried(self.0.hold(deadline(timeout)), || self.guard())
    }

    /// Takes the lock if it is free or the caller's. Of a holder's death it may learn up to 50 ms
    /// later.
    ///
    /// # Errors
    /// [`WouldBlock`](super::TryLockError::WouldBlock) if it is not;
    /// [`Poisoned`](super::TryLockError::Poisoned) as by [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<ReentrantLockGuard<'_>> {
        tried(self.0.try_hold(), || self.guard())
    }

    /// Waits for the lock and keeps it until this thread calls [`release`](Self::release).
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError): the last holder died or panicked. The lock is held.
    pub fn acquire(&self) -> LockResult<()> {
        waited(tried(self.hold(), || ()))
    }

    /// Gives the lock back once.
    ///
    /// # Errors
    /// [`NotHeld`](crate::ErrorKind::NotHeld) if the calling thread does not hold it.
    pub fn release(&self) -> Result<()> {
        self.0.release().map_err(misuse)
    }

    /// The pid of the process that holds it, at this moment.
    pub fn holder(&self) -> Option<u32> {
        self.0.holder().map(|holder| holder.pid())
    }
}

impl From<Shared<engine::RLock>> for ReentrantLock {
    fn from(shared: Shared<engine::RLock>) -> Self {
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for ReentrantLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantLock")
            .field("holder", &self.holder())
            .field("count", &self.0.count())
            .finish_non_exhaustive()
    }
}

impl Serialize for ReentrantLock {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::RLock::KIND, to)
    }
}

impl<'de> Deserialize<'de> for ReentrantLock {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(Self::from)
    }
}

/// Holds an [`ReentrantLock`] until it is dropped.
#[must_use = "the lock is given back when this is dropped"]
pub struct ReentrantLockGuard<'a> {
    lock: &'a ReentrantLock,
    was_panicking: bool,
    /// It is the thread's that took it.
    stays_in_thread: PhantomData<std::sync::MutexGuard<'a, ()>>,
}

impl Drop for ReentrantLockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.0.let_go(!self.was_panicking && thread::panicking());
    }
}

impl fmt::Debug for ReentrantLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReentrantLockGuard").field(self.lock).finish()
    }
}
