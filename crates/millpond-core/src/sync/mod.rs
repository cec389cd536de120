//! Synchronisation primitives in shared memory: lock, reentrant lock, mutex, semaphore, condition,
//! event, barrier, event count and wait queue. A process that dies while it uses one leaves it
//! usable. README.md beside this file is the protocol.

pub mod atomic;
pub mod barrier;
pub mod condition;
pub mod deadline;
pub mod deadlock;
mod death_watch;
pub mod deaths;
pub mod event;
pub mod event_count;
pub mod local;
pub mod lock;
pub mod mutex;
pub mod outcome;
mod permits;
pub mod poison;
pub mod rlock;
pub mod robust;
pub mod semaphore;
pub mod sizes;
pub mod spin;
#[cfg(test)]
pub(crate) mod testing;
pub mod thread;
pub mod wait_queue;
