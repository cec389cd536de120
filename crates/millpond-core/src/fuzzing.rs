//! Decoders that are private otherwise, for `millpond-fuzz`.

use crate::pool::zygote::message;

/// Whether the bytes are a message of a pool to its zygote, and whether they are one of a zygote to
/// its pool.
#[must_use]
pub fn zygote_messages(bytes: &[u8]) -> (bool, bool) {
    message::decodes(bytes)
}
