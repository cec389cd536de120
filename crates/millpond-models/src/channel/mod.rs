//! The engine's channels on the foundations of models.

pub mod pipe;
pub mod queue;
#[path = "../../../millpond-core/src/channel/ring.rs"]
pub mod ring;
