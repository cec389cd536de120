//! The semaphore: at most a given number of holders at once.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_core::os::identity::ProcessId;
use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::robust::Taken;
use millpond_core::sync::semaphore::{self as engine, NoPlace};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::timeout::{deadline, no_memory};
use crate::error::{Cause, Error, Result};
use crate::wire_handle;

/// A number of permits, each of which one thread or process at a time may have.
///
/// ```
/// use millpond::Pool;
/// use millpond::sync::Semaphore;
///
/// fn download((at_once, number): (Semaphore, u32)) -> u32 {
///     let _permit = at_once.acquire().unwrap();
///     // No more than two are here at any time.
///     number * 2
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let at_once = Semaphore::bounded(2)?;
///     let pool = Pool::new(4)?;
///     let doubled = pool.map(download, (0..8).map(|n| (at_once.clone(), n)))?;
///     assert_eq!(doubled, [0, 2, 4, 6, 8, 10, 12, 14]);
///     Ok(())
/// }
/// ```
///
/// # Whose permits
///
/// As long as every permit is given back by a process that has one, permits belong to processes,
/// and those of a process that was killed or failed are given back within 50 ms of a wait.
/// A process that ends [normally](super#deaths-and-panics) keeps those that it has
/// [forgotten](Permit::forget): they are used up. Once a process
/// [releases](Semaphore::release) what it does not have, or if there were none to begin with,
/// permits are messages that belong to no process, and none is given back from then on. Up to 2,045
/// processes that have permits at the same time are told apart; the next one gets an error.
#[derive(Clone)]
pub struct Semaphore(Arc<Shared<engine::Semaphore>>);

impl Semaphore {
    /// A semaphore of so many permits, to which any number may be added.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): more than 2³¹ − 1.
    /// - [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn new(permits: u32) -> Result<Self> {
        Self::start(permits, engine::MAX_PERMITS)
    }

    /// A semaphore of so many permits, never more.
    ///
    /// # Errors
    /// As by [`new`](Self::new).
    pub fn bounded(permits: u32) -> Result<Self> {
        Self::start(permits, permits)
    }

    fn start(permits: u32, bound: u32) -> Result<Self> {
        if permits > engine::MAX_PERMITS {
            let most = engine::MAX_PERMITS;
            let message = format!("a semaphore has at most {most} permits, not {permits}");
            return Err(Cause::InvalidInput(message).into());
        }
        let shared = Shared::<engine::Semaphore>::zeroed().map_err(no_memory)?;
        shared.start(permits, bound);
        Ok(Self(Arc::new(shared)))
    }

    /// Waits for a permit, which is given back when it is dropped.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): 2,045 processes have permits, and this would be one more; or there
    /// is no memory to note that this one has.
    pub fn acquire(&self) -> Result<Permit<'_>> {
        loop {
            if let Some(permit) = self.acquire_until(None)? {
                return Ok(permit);
            }
        }
    }

    /// Waits for a permit, but not longer than `timeout`.
    ///
    /// # Errors
    /// As by [`acquire`](Self::acquire).
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use std::time::Duration;
    ///
    /// let semaphore = millpond::sync::Semaphore::new(1)?;
    /// let permit = semaphore.acquire_timeout(Duration::from_secs(1))?.unwrap();
    /// assert!(semaphore.acquire_timeout(Duration::from_millis(1))?.is_none());
    /// drop(permit);
    /// assert!(semaphore.try_acquire()?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'_>>> {
        self.acquire_until(deadline(timeout))
    }

    fn acquire_until(&self, deadline: Option<Instant>) -> Result<Option<Permit<'_>>> {
        loop {
            match self.0.acquire(deadline).map_err(refused)? {
                Taken::Clean | Taken::OwnerDied(_) => return Ok(Some(self.permit())),
                Taken::TimedOut => return Ok(None),
                Taken::Interrupted => {}
            }
        }
    }

    /// A permit, if there is one.
    ///
    /// # Errors
    /// As by [`acquire`](Self::acquire).
    pub fn try_acquire(&self) -> Result<Option<Permit<'_>>> {
        let acquired = self.0.try_acquire().map_err(refused)?;
        Ok(acquired.then(|| self.permit()))
    }

    fn permit(&self) -> Permit<'_> {
        Permit { semaphore: self, of: ProcessId::current() }
    }

    /// Adds a permit, or gives back one that was [kept](Permit::forget).
    ///
    /// # Errors
    /// [`TooManyReleases`](crate::ErrorKind::TooManyReleases): it has as many as it may.
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use millpond::ErrorKind;
    ///
    /// let semaphore = millpond::sync::Semaphore::bounded(1)?;
    /// semaphore.acquire()?.forget();
    /// semaphore.release()?;
    /// let error = semaphore.release().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooManyReleases);
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(&self) -> Result<()> {
        self.0.release().map_err(|_| Cause::TooManyReleases(self.0.bound()).into())
    }

    /// How many permits there are to acquire, at this moment.
    pub fn available_permits(&self) -> u32 {
        self.0.value()
    }
}

fn refused(why: NoPlace) -> Error {
    Cause::Io { what: "acquire a permit", source: why.into() }.into()
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}

impl Serialize for Semaphore {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Semaphore::KIND, to)
    }
}

impl<'de> Deserialize<'de> for Semaphore {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(|shared| Self(Arc::new(shared)))
    }
}

/// A permit of a [`Semaphore`], given back when it is dropped.
#[must_use = "the permit is given back when it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// Whose it is: a fork has a copy, but no permit.
    of: ProcessId,
}

impl Permit<'_> {
    /// Keeps the permit beyond this value, until the process [releases](Semaphore::release) it or is
    /// killed or fails: one that ends normally keeps it for good.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.of == ProcessId::current() {
            // Others may have released more than they had: then it has all of its permits.
            let _ = self.semaphore.0.release();
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(self.semaphore).finish()
    }
}
