//! The condition variable: waiting for the data of a mutex to be as they should.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::condition::{self as engine, Notified};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Payload;
use super::mutex::MutexGuard;
use super::poison::LockResult;
use super::timeout::{deadline, no_memory};
use crate::error::Result;
use crate::wire_handle;

/// Where those wait for whom the data of a [`Mutex`](super::Mutex) are not yet as they should be.
///
/// It is [`std::sync::Condvar`] for processes.
///
/// ```
/// use millpond::sync::{Condvar, Mutex};
///
/// fn produce(items: Mutex<u64>, added: Condvar) {
///     for _ in 0..3 {
///         *items.lock().unwrap() += 1;
///         added.notify_one();
///     }
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let (items, added) = (Mutex::new(0)?, Condvar::new()?);
///     let producer = millpond::spawn(produce, (items.clone(), added.clone()))?;
///     let mut guard = items.lock()?;
///     for _ in 0..3 {
///         guard = added.wait_while(guard, |items| *items == 0)?;
///         *guard -= 1;
///     }
///     drop(guard);
///     producer.join()?;
///     Ok(())
/// }
/// ```
///
/// # What a notification does
///
/// It wakes the waiters that have waited longest. A waiter may also wake without one, so look at
/// the data when it does, or use [`wait_while`](Condvar::wait_while). If a notified waiter dies
/// before it holds the mutex again, or is told that the mutex's last holder died or panicked, the
/// notification goes to another waiter. If it dies later, it dies with the mutex, and the next
/// holder of the mutex is told.
#[derive(Clone)]
pub struct Condvar(Arc<Shared<engine::Condition>>);

/// How long a wait without a deadline is, before it begins anew.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Whether a wait ended because time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether time was up.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A new condition variable.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn new() -> Result<Self> {
        Shared::zeroed().map(|shared| Self(Arc::new(shared))).map_err(no_memory)
    }

    /// Whether a notification came before the deadline.
    fn wait_until<'a, T: ?Sized + Payload>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        // Before the mutex is given back: what changes after that notifies this place.
        let place = self.0.register();
        let locked = guard.unlocked(|| {
            loop {
                let until = deadline.unwrap_or_else(|| Instant::now() + MAX_WAIT);
                let notified = self.0.wait_a_while(&place, until) == Notified::Yes;
                if notified || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return;
                }
            }
        });
        // Not before the mutex is held: should the caller die on its way there, its notification
        // is for another.
        match locked {
            Ok((guard, ())) => Ok((guard, self.0.leave(&place))),
            Err(error) => {
                // The caller may go no further with what the dead left; then another must.
                let came = self.0.withdraw(place);
                Err(error.map(|(guard, ())| (guard, came)))
            }
        }
    }

    /// Gives the mutex back, waits for a notification, and locks the mutex again.
    ///
    /// # Errors
    /// A [`PoisonError`](super::PoisonError) with the guard: the last holder died or panicked.
    pub fn wait<'a, T: ?Sized + Payload>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, None)
            .map(|(guard, _)| guard)
            .map_err(|error| error.map(|(guard, _)| guard))
    }

    /// The same, but waits not longer than `timeout` for the notification.
    ///
    /// # Errors
    /// As by [`wait`](Self::wait).
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use std::time::Duration;
    ///
    /// use millpond::sync::{Condvar, Mutex};
    ///
    /// let (number, changed) = (Mutex::new(1_u8)?, Condvar::new()?);
    /// let (guard, result) = changed.wait_timeout(number.lock()?, Duration::from_millis(1))?;
    /// assert!(result.timed_out());
    /// assert_eq!(*guard, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout<'a, T: ?Sized + Payload>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let told = |(guard, came): (_, bool)| (guard, WaitTimeoutResult(!came));
        self.wait_until(guard, deadline(timeout)).map(told).map_err(|error| error.map(told))
    }

    /// Waits as long as `condition` holds for the data.
    ///
    /// # Errors
    /// As by [`wait`](Self::wait); the condition may then hold or not.
    pub fn wait_while<'a, T: ?Sized + Payload>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits as long as `condition` holds for the data, but not longer than `timeout`. Time is up
    /// only if it still holds then.
    ///
    /// # Errors
    /// As by [`wait`](Self::wait); the condition may then hold or not.
    pub fn wait_timeout_while<'a, T: ?Sized + Payload>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let deadline = deadline(timeout);
        while condition(&mut guard) {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let waited = self.wait_until(guard, deadline);
            let told = |(guard, came): (_, bool)| (guard, WaitTimeoutResult(!came));
            (guard, _) = waited.map_err(|error| error.map(told))?;
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    /// Lets the one through that has waited longest.
    pub fn notify_one(&self) {
        self.0.notify(1);
    }

    /// Lets the `count` through that have waited longest, or all if there are fewer.
    pub fn notify_n(&self, count: usize) {
        self.0.notify(count);
    }

    /// Lets all through that wait.
    pub fn notify_all(&self) {
        self.0.notify(usize::MAX);
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("waiting", &self.0.waiting()).finish_non_exhaustive()
    }
}

impl Serialize for Condvar {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Condition::KIND, to)
    }
}

impl<'de> Deserialize<'de> for Condvar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(|shared| Self(Arc::new(shared)))
    }
}
