//! The sides of the engine's queue and the place where its waiters wait, and a queue of numbers
//! made of them in the way of the engine's `put.rs` and `get.rs`.

pub mod numbers;
mod position;
#[expect(dead_code, reason = "the engine's queue uses more of it")]
#[path = "../../../../millpond-core/src/channel/queue/side.rs"]
mod side;
#[expect(dead_code, reason = "as above")]
#[path = "../../../../millpond-core/src/channel/queue/waiters.rs"]
mod waiters;
