//! Fuzzing: everything that reads bytes which another process wrote is given damaged ones.
//!
//! A target is a function that takes any bytes and must come back: damage is an error, never a
//! panic, and nothing that a sanitizer objects to. Targets are run
//!
//! - by `cargo test`, a few thousand times each with bytes that are the same each time,
//! - by `cargo xtask fuzz`, guided by coverage and watched by the address sanitizer where the
//!   toolchain and a C++ compiler permit, else with as many mutations of the seeds as time permits.

pub mod mutate;
pub mod targets;
