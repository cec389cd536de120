//! Waiting: how long to spin, when to sleep, and how to be woken.

pub mod atomic;
pub mod bell;
pub mod robust;
pub mod spin;
