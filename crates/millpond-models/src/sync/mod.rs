//! The engine's primitives on the foundations of models.

pub mod atomic;
pub mod deaths;
pub mod in_place;
pub mod sizes;
pub mod spin;
pub mod thread;

#[path = "../../../millpond-core/src/sync/barrier.rs"]
pub mod barrier;
#[path = "../../../millpond-core/src/sync/condition.rs"]
pub mod condition;
#[path = "../../../millpond-core/src/sync/deadline.rs"]
pub mod deadline;
#[path = "../../../millpond-core/src/sync/event.rs"]
pub mod event;
#[path = "../../../millpond-core/src/sync/event_count.rs"]
pub mod event_count;
#[path = "../../../millpond-core/src/sync/lock.rs"]
pub mod lock;
#[path = "../../../millpond-core/src/sync/outcome.rs"]
pub mod outcome;
#[path = "../../../millpond-core/src/sync/permits.rs"]
mod permits;
#[path = "../../../millpond-core/src/sync/poison.rs"]
pub mod poison;
#[path = "../../../millpond-core/src/sync/rlock.rs"]
pub mod rlock;
#[path = "../../../millpond-core/src/sync/robust.rs"]
pub mod robust;
#[path = "../../../millpond-core/src/sync/semaphore.rs"]
pub mod semaphore;
#[path = "../../../millpond-core/src/sync/wait_queue.rs"]
pub mod wait_queue;
