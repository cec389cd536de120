//! The engine of millpond: bytes, file descriptors and pids.
//!
//! The bindings (the crate `millpond` and the Python package of that name) turn typed calls into the
//! terms of this crate and back. Nothing here knows serde or Python.

#[cfg(not(feature = "crash-points"))]
mod crash;
#[cfg(feature = "crash-points")]
pub mod crash;

pub mod channel;
pub mod cpu;
#[cfg(feature = "testing")]
pub mod fuzzing;
pub mod os;
pub mod pool;
pub mod shm;
pub mod sync;
pub mod trace;
