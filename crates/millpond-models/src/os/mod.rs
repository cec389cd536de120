//! The operating system of models.

pub mod clock;
pub mod futex;
pub mod identity;
