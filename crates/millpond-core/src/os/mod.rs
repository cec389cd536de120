//! The operating system as the engine sees it: everything that would change on another one.

pub(crate) mod bundle;
pub(crate) mod cgroup;
pub mod clock;
pub mod eventfd;
pub mod exec;
pub(crate) mod exit;
pub mod exit_status;
pub(crate) mod fifo;
pub(crate) mod foreign;
pub mod fork;
pub mod futex;
pub mod identity;
pub mod inherited;
pub(crate) mod kept_fd;
pub(crate) mod lifeline;
pub mod map;
pub mod memfd;
pub mod memory;
pub mod pidfd;
pub mod quiescence;
pub mod ready;
pub(crate) mod record_lock;
pub mod refused;
pub mod signals;
pub(crate) mod socket;
