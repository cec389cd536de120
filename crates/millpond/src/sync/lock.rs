//! The lock: one at a time, for what is not memory.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::deadlock::is_sole_user;
use millpond_core::sync::lock as engine;
use millpond_core::sync::outcome::Misuse;
use millpond_core::sync::poison::Hold;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::poison::{LockResult, TryLockResult, tried, waited};
use super::timeout::{deadline, no_memory};
use crate::deadlock::{is_deadlock, until_done};
use crate::error::{Cause, Error, Result};
use crate::wire_handle;

/// Why a wait for a lock is a deadlock.
pub(super) const ALONE: &str =
    "release the lock: no other living process has it, and this one has one thread";

/// Lets one thread of one process at a time through, to something that is not in its care: a
/// terminal, a file, a device. For data there is [`Mutex`](super::Mutex).
///
/// Like `multiprocessing.Lock`, it may also be [acquired](Lock::acquire) without a guard, and
/// [released](Lock::release) by another thread or process.
///
/// ```
/// use millpond::sync::raw::Lock;
///
/// fn report(lock: Lock, name: String) {
///     let _guard = lock.lock().unwrap();
///     print!("{name} has ");
///     println!("ended");
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let lock = Lock::new()?;
///     let one = millpond::spawn(report, (lock.clone(), "one".to_owned()))?;
///     let two = millpond::spawn(report, (lock.clone(), "two".to_owned()))?;
///     one.join()?;
///     two.join()?;
///     Ok(())
/// }
/// ```
///
/// When the holder is killed or fails, or panics while it has a guard, the next one learns of it by
/// a [`PoisonError`](super::PoisonError), and holds the lock all the same. A holder that ends
/// [normally](super#deaths-and-panics) keeps it.
#[derive(Clone)]
pub struct Lock(Arc<Shared<engine::Lock>>);

impl Lock {
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

    fn guard(&self) -> LockGuard<'_> {
        LockGuard { lock: self, was_panicking: thread::panicking(), stays_in_thread: PhantomData }
    }

    /// Waits for the lock; it is released when the guard is dropped. A thread that holds it already
    /// waits until another thread or process releases it.
    ///
    /// # Panics
    /// If it is certain that no thread or process can release it; see
    /// [`set_deadlock_errors`](crate::set_deadlock_errors).
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError) with the guard: the last holder died or panicked.
    #[inline]
    pub fn lock(&self) -> LockResult<LockGuard<'_>> {
        waited(tried(self.hold(), || self.guard()))
    }

    /// Waits for the lock, but not longer than `timeout`.
    ///
    /// # Errors
    /// [`WouldBlock`](super::TryLockError::WouldBlock) then;
    /// [`Poisoned`](super::TryLockError::Poisoned) as by [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<LockGuard<'_>> {
        tried(self.0.hold(deadline(timeout)), || self.guard())
    }

    /// Takes the lock if it is free. Of a holder's death it may learn up to 50 ms later.
    ///
    /// # Errors
    /// [`WouldBlock`](super::TryLockError::WouldBlock) if it is not;
    /// [`Poisoned`](super::TryLockError::Poisoned) as by [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<LockGuard<'_>> {
        tried(self.0.try_hold(), || self.guard())
    }

    /// Waits for the lock and keeps it until a thread of any process calls
    /// [`release`](Self::release).
    ///
    /// # Panics
    /// As by [`lock`](Self::lock).
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError): the last holder died or panicked. The lock is held.
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// let lock = millpond::sync::raw::Lock::new()?;
    /// lock.acquire()?;
    /// std::thread::scope(|scope| scope.spawn(|| lock.release()).join().unwrap())?;
    /// assert!(lock.try_lock().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> LockResult<()> {
        waited(tried(self.hold(), || ()))
    }

    /// Releases the lock. The caller need not be the thread or the process that holds it.
    ///
    /// # Errors
    /// [`NotHeld`](crate::ErrorKind::NotHeld).
    pub fn release(&self) -> Result<()> {
        self.0.release().map_err(misuse)
    }

    /// The pid of the process that holds it, at this moment.
    pub fn holder(&self) -> Option<u32> {
        self.0.holder().map(|holder| holder.pid())
    }
}

pub(super) fn misuse(misuse: Misuse) -> Error {
    Cause::NotHeld(match misuse {
        Misuse::NotOwner => "only the thread that holds it can, and this one does not",
        _ => "nobody holds it",
    })
    .into()
}

impl From<Shared<engine::Lock>> for Lock {
    fn from(shared: Shared<engine::Lock>) -> Self {
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("holder", &self.holder()).finish_non_exhaustive()
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Lock::KIND, to)
    }
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(Self::from)
    }
}

/// Holds a [`Lock`] until it is dropped.
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    was_panicking: bool,
    /// As the standard library's.
    stays_in_thread: PhantomData<std::sync::MutexGuard<'a, ()>>,
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.0.let_go(!self.was_panicking && thread::panicking());
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(self.lock).finish()
    }
}
