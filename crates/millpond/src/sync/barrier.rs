//! The barrier: a given number of parties wait until all have arrived, and then continue together.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::sync::barrier::{self as engine, Arrival, Crossing};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::timeout::{deadline, no_memory};
use crate::deadlock::{is_deadlock_of_all, until_done};
use crate::error::{Cause, Error, Result};
use crate::wire_handle;

/// Where a number of parties, threads or processes, wait for each other before all go on.
///
/// ```
/// use millpond::sync::{Barrier, SharedSlice};
///
/// /// Every party computes its half from all that was there before.
/// fn step(numbers: SharedSlice<u64>, together: Barrier, mine: usize) -> millpond::Result<()> {
///     for _ in 0..10 {
///         let sum = numbers.load(0) + numbers.load(1);
///         together.wait()?;
///         numbers.store(mine, sum);
///         together.wait()?;
///     }
///     Ok(())
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let (numbers, together) = (SharedSlice::from_slice(&[1, 1])?, Barrier::new(2)?);
///     let run = |numbers, together, mine| step(numbers, together, mine).unwrap();
///     let other = millpond::spawn(run, (numbers.clone(), together.clone(), 0))?;
///     step(numbers.clone(), together, 1)?;
///     other.join()?;
///     assert_eq!(numbers.to_vec(), [1024, 1024]);
///     Ok(())
/// }
/// ```
///
/// # Deaths
///
/// When a party dies that has arrived, the barrier breaks: parties that wait, and parties that
/// arrive later, get [`BrokenBarrier`](crate::ErrorKind::BrokenBarrier), until a process
/// [resets](Barrier::reset) it. One that dies before it arrives is not known to the barrier: when
/// all processes that have it wait there, each with one thread, it breaks with
/// [`Deadlock`](crate::ErrorKind::Deadlock); for all other cases there is
/// [`wait_timeout`](Barrier::wait_timeout).
#[derive(Clone)]
pub struct Barrier(Arc<Shared<engine::Barrier>>);

/// How one of the parties crossed a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: u32,
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether this is the one party of all that arrived last.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }

    /// How many arrived before this one.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Barrier {
    /// A new barrier for the given number of parties.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): none.
    /// - [`Io`](crate::ErrorKind::Io): memory or file descriptors have run out, or there are more than
    ///   the 4,090 parties that a barrier can watch.
    pub fn new(parties: u32) -> Result<Self> {
        if parties == 0 {
            let message = "a barrier needs at least one party".to_owned();
            return Err(Cause::InvalidInput(message).into());
        }
        let shared = Shared::<engine::Barrier>::zeroed().map_err(no_memory)?;
        shared.start(parties).map_err(no_memory)?;
        Ok(Self(Arc::new(shared)))
    }

    /// Waits until all have arrived.
    ///
    /// # Errors
    /// [`BrokenBarrier`](crate::ErrorKind::BrokenBarrier): a party died or gave up, or a process
    /// [aborted](Self::abort) or [reset](Self::reset) it; [`Deadlock`](crate::ErrorKind::Deadlock)
    /// where no process is left that could be a party.
    pub fn wait(&self) -> Result<BarrierWaitResult> {
        self.cross(None, Duration::MAX)
    }

    /// Waits until all have arrived, but not longer than `timeout`, after which the barrier is
    /// broken.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut) then; otherwise as [`wait`](Self::wait).
    ///
    /// ```
    /// # fn main() -> Result<(), millpond::Error> {
    /// use std::time::Duration;
    ///
    /// use millpond::ErrorKind;
    ///
    /// let barrier = millpond::sync::Barrier::new(2)?;
    /// let error = barrier.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TimedOut);
    /// let error = barrier.wait().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::BrokenBarrier);
    /// barrier.reset();
    /// assert!(!barrier.is_broken());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult> {
        self.cross(deadline(timeout), timeout)
    }

    fn cross(&self, deadline: Option<Instant>, after: Duration) -> Result<BarrierWaitResult> {
        let timed_out = || Error::from(Cause::NotInTime { what: "not all parties arrived", after });
        let broken = || Error::from(Cause::BrokenBarrier);
        loop {
            let (crossing, index, generation, is_leader) = match self.0.arrive() {
                Arrival::Broken => return Err(broken()),
                Arrival::Last { index, generation } => (self.0.open(generation), index, None, true),
                Arrival::Early { index, generation } => {
                    let Some(crossing) = self.wait_for(generation, index, deadline) else {
                        self.0.give_up(generation);
                        let what = "be the party that is missing at the barrier: each living process that has it waits \
                             there, and has one thread";
                        return Err(Cause::Deadlock(what).into());
                    };
                    (crossing, index, Some(generation), false)
                }
                Arrival::Busy { generation } => {
                    // The crossing before this one is about to be over, unless its party is stopped.
                    let ended = loop {
                        match self.0.wait(generation, deadline) {
                            Crossing::Interrupted => {}
                            ended => break ended,
                        }
                    };
                    if ended == Crossing::TimedOut && self.0.give_up(generation).is_none() {
                        return Err(timed_out());
                    }
                    continue;
                }
            };
            let crossing = match (crossing, generation) {
                // It may have ended otherwise between the deadline and this.
                (Crossing::TimedOut, Some(generation)) => match self.0.give_up(generation) {
                    Some(ended) => ended,
                    None => return Err(timed_out()),
                },
                (crossing, _) => crossing,
            };
            return match crossing {
                Crossing::Crossed => Ok(BarrierWaitResult { index, is_leader }),
                _ => Err(broken()),
            };
        }
    }

    /// How the wait ended; `None` for a deadlock.
    fn wait_for(&self, generation: u32, index: u32, deadline: Option<Instant>) -> Option<Crossing> {
        let ended =
            |until| Some(self.0.wait(generation, until)).filter(|c| *c != Crossing::Interrupted);
        match deadline {
            Some(_) => Some(loop {
                if let Some(crossing) = ended(deadline) {
                    break crossing;
                }
            }),
            None => until_done(
                |until| ended(until).filter(|crossing| *crossing != Crossing::TimedOut),
                |watch| {
                    let are_all_waiting = || self.0.is_deserted(generation, index);
                    is_deadlock_of_all(watch, || self.0.may_be_deserted(), are_all_waiting)
                },
            ),
        }
    }

    /// Breaks the barrier for parties that wait and for those that arrive later, as when one of
    /// them cannot go on.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Makes the barrier new. Waiting parties learn that it broke.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.is_broken()
    }

    /// How many parties it is for.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.0.parties()
    }

    /// How many have arrived and wait, at this moment.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.0.waiting()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        wire_handle::send(self.0.slot(), engine::Barrier::KIND, to)
    }
}

impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        wire_handle::receive_shared(from).map(|shared| Self(Arc::new(shared)))
    }
}
