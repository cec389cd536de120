//! What the next holder of a lock learns of the last one.

use std::fmt;

use millpond_core::sync::poison::{self, Hold};

use crate::error::{Cause, Error, Poisoned};

/// The last holder of a lock died, or panicked, while it held it.
///
/// The caller holds the lock now: the guard is in this error. What the lock guards may be half
/// changed; a caller that can check or repair it takes the guard out with
/// [`into_inner`](Self::into_inner) and goes on. One holder is told of each death or panic; for
/// later holders the lock is as any other. (This differs from [`std::sync::PoisonError`], which
/// every later holder gets, and which does not name the process.)
///
/// It becomes a [`millpond::Error`](crate::Error) of the kind
/// [`Poisoned`](crate::ErrorKind::Poisoned) with `?`, which gives the lock back.
///
/// ```
/// use millpond::sync::Mutex;
///
/// fn crash(pair: Mutex<[u64; 2]>) {
///     let mut pair = pair.lock().unwrap();
///     pair[0] += 1;
///     std::process::abort();
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pair = Mutex::new([0_u64, 0])?;
///     let process = millpond::spawn(crash, pair.clone())?;
///     let pid = process.pid();
///     process.join().unwrap_err();
///     let mut guard = pair.lock().unwrap_or_else(|poisoned| {
///         assert!(poisoned.owner_died());
///         assert_eq!(poisoned.pid(), pid);
///         poisoned.into_inner()
///     });
///     assert_eq!(*guard, [1, 0]);
///     *guard = [1, 1];
///     drop(guard);
///     assert_eq!(*pair.lock()?, [1, 1]);
///     Ok(())
/// }
/// ```
pub struct PoisonError<G> {
    guard: G,
    poisoned: Poisoned,
}

/// A guard, or a guard and the news of what became of the last holder.
pub type LockResult<G> = Result<G, PoisonError<G>>;

/// A [`LockResult`], unless the lock was not to be had.
pub type TryLockResult<G> = Result<G, TryLockError<G>>;

impl<G> PoisonError<G> {
    /// The guard: the lock is held, and what it guards may be half changed.
    pub fn into_inner(self) -> G {
        self.guard
    }

    /// The guard.
    pub fn get_ref(&self) -> &G {
        &self.guard
    }

    /// The guard.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.guard
    }

    /// The process of the last holder.
    pub fn pid(&self) -> u32 {
        self.poisoned.pid()
    }

    /// Whether that process died, in whichever way; else one of its threads panicked.
    pub fn owner_died(&self) -> bool {
        matches!(self.poisoned.0, poison::Poisoned::Died(_))
    }

    pub(super) fn map<H>(self, change: impl FnOnce(G) -> H) -> PoisonError<H> {
        PoisonError { guard: change(self.guard), poisoned: self.poisoned }
    }
}

impl<G> fmt::Debug for PoisonError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoisonError")
            .field("pid", &self.pid())
            .field("owner_died", &self.owner_died())
            .finish_non_exhaustive()
    }
}

impl<G> fmt::Display for PoisonError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.poisoned.fmt(f)
    }
}

impl<G> std::error::Error for PoisonError<G> {}

impl<G> From<PoisonError<G>> for Error {
    fn from(error: PoisonError<G>) -> Self {
        Cause::Poisoned(error.poisoned).into()
    }
}

/// Why a lock was not simply acquired.
pub enum TryLockError<G> {
    /// It was, after a death or a panic.
    Poisoned(PoisonError<G>),
    /// Another thread or process holds it, and did until the timeout if there was one.
    WouldBlock,
}

impl<G> fmt::Debug for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(error) => f.debug_tuple("Poisoned").field(error).finish(),
            Self::WouldBlock => f.write_str("WouldBlock"),
        }
    }
}

impl<G> fmt::Display for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(error) => error.fmt(f),
            Self::WouldBlock => Cause::WouldBlock.fmt(f),
        }
    }
}

impl<G> std::error::Error for TryLockError<G> {}

impl<G> From<PoisonError<G>> for TryLockError<G> {
    fn from(error: PoisonError<G>) -> Self {
        Self::Poisoned(error)
    }
}

impl<G> From<TryLockError<G>> for Error {
    fn from(error: TryLockError<G>) -> Self {
        match error {
            TryLockError::Poisoned(error) => error.into(),
            TryLockError::WouldBlock => Cause::WouldBlock.into(),
        }
    }
}

/// The guard of a lock that is held, with the news of its last holder.
pub(super) fn held<G>(guard: G, news: Option<poison::Poisoned>) -> LockResult<G> {
    match news {
        None => Ok(guard),
        Some(poisoned) => Err(PoisonError { guard, poisoned: Poisoned(poisoned) }),
    }
}

/// The same for an attempt that may have failed; `guard` is called if it did not.
pub(super) fn tried<G>(hold: Hold, guard: impl FnOnce() -> G) -> TryLockResult<G> {
    match hold {
        Some(news) => Ok(held(guard(), news.err())?),
        None => Err(TryLockError::WouldBlock),
    }
}

/// The same for a wait without an end.
pub(super) fn waited<G>(result: TryLockResult<G>) -> LockResult<G> {
    match result {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(error)) => Err(error),
        Err(TryLockError::WouldBlock) => unreachable!("a wait without a deadline ends with a lock"),
    }
}
