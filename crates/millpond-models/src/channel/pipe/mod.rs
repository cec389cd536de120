//! `Readiness`, the engine's handshake for the socket of a pipe, and a pipe of mere messages made with it in the way of the
//! engine's `send.rs` and `receive.rs`.

pub mod messages;
#[expect(dead_code, reason = "the engine's pipe uses more of it")]
#[path = "../../../../millpond-core/src/channel/pipe/readiness.rs"]
mod readiness;
