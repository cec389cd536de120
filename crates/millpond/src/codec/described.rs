//! A self-describing encoding of all that serde can express.
//!
//! It is for types whose `Deserialize` need not mirror their `Serialize`: where fields are left out,
//! flattened or have a default, and where an enum has no tag or one inside of it. Each part says of
//! which of serde's types it is, and fields and variants have their names.
//!
//! Why it is none of the published formats: those of JSON's model take `Some(None)` for `None`, and
//! CBOR and MessagePack write a number in its shortest form, whatever its type, and a newtype as
//! what it holds. Here a `u8` is kept apart from a `u64` and a newtype from its content, which is
//! how [`is_same`] sees that a value would arrive as another one.

mod decoder;
mod digest;
mod encoder;
mod error;
mod token;

use serde::Serialize;
use serde::de::Deserialize;

use decoder::Decoder;
pub(super) use digest::{difference, is_same};
use encoder::Encoder;
pub(super) use error::Error;

/// Adds the bytes of a value to `out`.
pub(super) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    value.serialize(&mut Encoder::new(out))
}

/// The value of bytes that [`encode`] made.
pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    let mut decoder = Decoder::new(bytes);
    let value = T::deserialize(&mut decoder)?;
    decoder.end()?;
    Ok(value)
}
