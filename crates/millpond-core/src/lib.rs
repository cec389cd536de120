//! The engine of millpond: bytes, file descriptors and pids.
//!
//! The bindings (the crate `millpond` and the Python package of that name) turn typed calls into the
//! terms of this crate and back. Nothing here knows serde or Python.
//!
//! This crate is internal: its interface changes with every release. Use the crate `millpond`.

#[cfg(not(target_os = "linux"))]
compile_error!("millpond runs on Linux alone: it is made of memfds, futexes and pidfds");

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
