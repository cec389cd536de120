//! The codec, for `millpond-fuzz`.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value; `None` if it cannot be.
#[must_use]
pub fn encode<T: Serialize + 'static>(value: T) -> Option<Vec<u8>> {
    crate::codec::encode(value).ok()
}

/// Decodes a value; `None` if the bytes are none.
#[must_use]
pub fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Option<T> {
    crate::codec::decode(Cow::Borrowed(bytes)).ok()
}
