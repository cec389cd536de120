//! Memory that processes share; in models, any memory.

pub mod presence;
pub mod shared;
pub(crate) mod sole_user;
