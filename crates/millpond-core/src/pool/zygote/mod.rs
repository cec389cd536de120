//! The zygote: a process with one thread that forks a pool's workers.

pub mod client;
pub mod message;
pub mod server;
pub mod template;
