//! Locks, conditions, events, barriers and plain data that processes share.
//!
//! Everything here lives in anonymous shared memory and works between processes and between
//! threads alike. A value is a *handle*: a clone is another handle to the same object, and so is
//! what arrives when one is passed to another process: as an argument of a
//! [`Process`](crate::Process) or of a task of a [`Pool`](crate::Pool), also within a larger value.
//! The memory goes back when the last handle is gone.
//!
//! ```
//! use millpond::Process;
//! use millpond::sync::Mutex;
//!
//! fn deposit(account: Mutex<u64>, amount: u64) {
//!     *account.lock().unwrap() += amount;
//! }
//!
//! fn main() -> Result<(), millpond::Error> {
//!     millpond::init();
//!     let account = Mutex::new(0)?;
//!     let one = Process::new(deposit).args((account.clone(), 30)).start()?;
//!     let two = Process::new(deposit).args((account.clone(), 12)).start()?;
//!     one.join()?;
//!     two.join()?;
//!     assert_eq!(*account.lock()?, 42);
//!     Ok(())
//! }
//! ```
//!
//! # Which one
//!
//! | to … | take |
//! |---|---|
//! | share numbers or structs of numbers, and change them one at a time | [`Mutex`] |
//! | share a whole array and work on it as on a recheck interval, one at a time | [`Mutex<[T]>`](Mutex::from_slice) |
//! | share an array that all read and write at once; count with atomics | [`SharedSlice`] |
//! | keep others out of something that is not memory: a terminal, a file | [`Lock`] |
//! | do that in functions that call each other | [`RLock`] |
//! | let a given number in at once, or count things that are there | [`Semaphore`] |
//! | wait until the data of a [`Mutex`] are as they should be | [`Condvar`] |
//! | tell many that something has happened | [`Event`] |
//! | have a given number of parties wait for each other, again and again | [`Barrier`] |
//!
//! For threads of one process alone, [`std::sync`] is there.
//!
//! # Deaths and panics
//!
//! A process may be killed at any instant; the others do not wait for it:
//!
//! - *The holder of a lock is killed or fails*, or panics while it has a guard: the next one gets the
//!   guard within a [`PoisonError`], which says what happened and in which process. It is told once;
//!   after that the lock is as any other.
//! - *A process that has permits of a semaphore is killed or fails*: they are given back.
//! - *A party of a barrier dies* after it arrived: the barrier breaks, and waiting parties get an
//!   error.
//! - *A process that waits dies*: the others do not notice. A notification that had reached it
//!   goes to another waiter.
//!
//! A wait that has lasted for 10 ms notices a death within some milliseconds; where the system
//! does not permit that, the waiter checks every 50 ms whether the processes for which it waits are
//! alive.
//!
//! A process that ends normally (its function returned, or its program ended with status 0) keeps
//! what it has acquired and not released: a lock or a [`Mutex`] whose guard it leaked stays locked,
//! as one of the standard library's would, until a process [releases](Lock::release) it; permits
//! that it has [forgotten](Permit::forget) are gone, as sold wire handles are. A process that ends
//! by `libc::_exit` counts as one that failed, whatever its status.
//!
//! # Signals, forks, strangers
//!
//! A wait goes on when a signal handler has run. A `fork` has all handles and none of the guards
//! and permits: those of the parent stay the parent's. A handle that is encoded leads to its object
//! in any process of the same user; the sender keeps the object until the wire handle was used
//! once, or until it ends. When it arrives later than that, decoding fails with
//! [`ErrorKind::Codec`](crate::ErrorKind::Codec), and a message that says so. So a
//! [`Process`](crate::Process) cannot return what it alone has: it has ended by then. What a task of
//! a [`Pool`](crate::Pool) returns is the pool's as soon as the task has ended.

mod barrier;
mod condvar;
mod event;
mod lock;
mod mutex;
mod poison;
mod rlock;
mod semaphore;
mod slice;
mod timeout;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use millpond_core::shm::plain::{Payload, Plain};
pub use millpond_core::shm::slice::Number;
pub use mutex::{Mutex, MutexGuard};
pub use poison::{LockResult, PoisonError, TryLockError, TryLockResult};
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{Permit, Semaphore};
pub use slice::SharedSlice;
