//! The event: something has happened.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::event as engine;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::timeout::{deadline, no_memory};
use crate::error::Result;
use crate::wire_handle;

/// A flag for which any number of threads can wait. A thread that sees it set sees everything that
/// was done before it was set.
///
/// ```
/// use millpond::sync::Event;
///
/// fn wait(start: Event) -> bool {
///     start.wait();
///     start.is_set()
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let start = Event::new()?;
///     let one = millpond::spawn(wait, start.clone())?;
///     let two = millpond::spawn(wait, start.clone())?;
///     start.set();
///     assert!(one.join()? && two.join()?);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Event(Arc<Shared<engine::Event>>);

impl Event {
    /// A new event, which is not set.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out.
    pub fn new() -> Result<Self> {
        Shared::zeroed().map(|shared| Self(Arc::new(shared))).map_err(no_memory)
    }

    /// Sets it and ends all waits, also those that begin before it is [cleared](Self::clear).
    pub fn set(&self) {
        self.0.set();
    }

    /// Clears it. Waits that had begun when it was set end all the same.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_set()
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        loop {
            // An error is a signal handler that ran.
            if let Ok(came) = self.0.wait(deadline) {
                return came;
            }
        }
    }

    /// Waits until it is set, or was since the call.
    pub fn wait(&self) {
        while !self.wait_until(None) {}
    }

    /// Waits until it is set, or was since the call, but not longer than `timeout`; whether it was.
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use std::time::Duration;
    ///
    /// let event = millpond::sync::Event::new()?;
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "it tells whether the event was set"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(deadline(timeout))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Event::KIND, to)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(|shared| Self(Arc::new(shared)))
    }
}
