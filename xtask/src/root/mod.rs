//! A root of its own with CPython's newest releases, beside the interpreters that are installed.
//!
//! The newest interpreters come as packages of Debian's development suite. They need that suite's
//! C library, so they live in a directory with a system of its own, which a command enters with
//! `pivot_root` in a private mount namespace: nothing stays mounted, and nothing of the machine is
//! changed but the packages that make the root.

mod apt;
mod builder;
mod entry;
mod lack;
mod mounts;
mod place;

pub(crate) use builder::{Builder, is_made};
pub(crate) use lack::Lack;
pub(crate) use mounts::remove;
pub(crate) use place::Root;
