//! Values as the bytes of an item, and back.

use std::borrow::Cow;

use crate::codec::{self, CodecError};
use crate::message::Message;

/// The value of bytes that were received.
#[inline]
pub(super) fn decode<T: Message>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(Cow::Borrowed(bytes))
}
