//! Values as the bytes of an item, and back.

use std::borrow::Cow;
use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};

/// What can be put on a queue or sent through a channel: whatever serde encodes and decodes.
///
/// It is implemented for all such types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    note = "it must implement `serde::Serialize` and `serde::Deserialize`, and borrow nothing"
)]
pub trait Message: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Message for T {}

/// Buffers that are larger than this are not kept for the next message.
const KEPT: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with an empty buffer that was used before, so that most messages need no
/// allocation.
pub(super) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // One that is in use, by the message that this one is part of, is missed once.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= KEPT {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
    result
}

/// Calls `put` with the bytes of `value`.
pub(super) fn with_bytes<T: Message, R>(
    value: &T,
    put: impl FnOnce(&[u8]) -> R,
) -> Result<R, CodecError> {
    if let Some(bytes) = codec::as_bytes(value) {
        return Ok(put(bytes));
    }
    with_buffer(|buffer| {
        codec::append_ref(value, buffer)?;
        Ok(put(buffer))
    })
}

/// The value of bytes that were received.
pub(super) fn decode<T: Message>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(Cow::Borrowed(bytes))
}
