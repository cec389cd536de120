//! The engine's channels on the foundations of models.

pub mod pipe;
pub mod queue;
#[path = "../../../millpond-core/src/channel/ring.rs"]
#[expect(dead_code, reason = "the engine uses more of it")]
pub mod ring;
