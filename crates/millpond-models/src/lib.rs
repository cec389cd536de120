//! Models of the engine's primitives.
//!
//! This crate compiles the engine's *own* source files (`#[path]` in [`sync`]) against other
//! foundations than the engine has: loom's atomics, a modelled futex, processes that are threads of
//! a model and can die, a clock that only sleeping moves. So what is checked is what runs, and the
//! engine has no trace of the models but that atomics, clock and table sizes come from one place.
//! loom runs a model through the interleavings of its threads, and through the values that the
//! memory orderings in the source permit each load to see.
//!
//! - [`sync::atomic`]: loom's atomics. What a dead process would still change is ignored. The futex
//!   compares and enqueues in one step, as the kernel's does.
//! - [`os::identity`]: each thread of a model is a process, or one of several threads of one.
//! - [`world`]: which processes are dead, which threads sleep, and whether time passes. As long as
//!   no process is dead (and the model does not say otherwise), sleeps never time out: a lost
//!   wake-up is a deadlock, which loom reports, although a recheck would mend it. Once a
//!   process is dead, time passes whenever a thread sleeps.
//! - `crash_point!`: a thread that was told to die at a point unwinds from there as a dead process.
//! - [`sync::in_place`]: atomics that lie over bytes (the ring) keep the usual layout, so loom sees
//!   their interleavings but not what weaker orderings would permit.
//! - [`channel::queue::numbers`]: the queue's sides and waiters are the engine's; what is between
//!   them is written anew, in the way of the engine's `put.rs` and `get.rs`.
//!
//! # Depth
//!
//! `cargo test -p millpond-models` bounds the preemptions so that all models take some seconds.
//! `cargo xtask models` (the variable `MILLPOND_MODELS=deep`) allows one to three more, for at
//! most 40 s a model.
//!
//! # Do the models notice?
//!
//! `cargo xtask models --mutants` breaks the source in the ways that `mutants.txt` lists, one at a
//! time, in a copy, and demands that the models fail each time. When the list was made, two of its
//! mutants (a grant of the dead that is left there, an opening that asks for no generation) went
//! unnoticed, for which the models got cases of their own.

// Test builds of this library have nothing: the included sources bring unit tests, which are the
// engine's own.
#![cfg(not(test))]

pub mod channel;
mod crash;
pub mod model;
pub mod os;
pub mod shm;
pub mod sync;
pub mod world;
