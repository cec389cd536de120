//! Waiting: how long to spin, when to sleep, and how to be woken.

pub mod bell;
pub mod spin;
