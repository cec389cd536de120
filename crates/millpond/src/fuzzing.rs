//! The codec, for `millpond-fuzz`.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value.
///
/// # Errors
/// The message, if it cannot be.
pub fn encode<T: Serialize + DeserializeOwned + 'static>(value: T) -> Result<Vec<u8>, String> {
    crate::codec::encode(value).map_err(|error| error.to_string())
}

/// Decodes a value.
///
/// # Errors
/// The message, if the bytes are none.
pub fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, String> {
    crate::codec::decode(Cow::Borrowed(bytes)).map_err(|error| error.to_string())
}
