//! The operating system as the engine sees it: everything that would change on another one.

pub mod clock;
pub mod eventfd;
pub mod exec;
pub mod exit_status;
pub(crate) mod foreign;
pub mod fork;
pub mod futex;
pub mod identity;
pub mod inherited;
pub mod map;
pub mod memfd;
pub mod memory;
pub mod pidfd;
pub mod ready;
pub mod signals;
pub mod socket;
