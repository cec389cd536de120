//! Values as the bytes of an item, and back.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};

/// What can be put on a queue or sent through a channel: whatever serde encodes and decodes.
///
/// It is implemented for all such types. A value arrives equal, so far as serde can tell, or is
/// refused when it is sent: types of one's own are decoded by their sender, too, to see what would
/// arrive. What serde cannot tell is the order of a list from that of a set, a part that is not
/// encoded at all, and variants of an untagged enum that encode alike.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    note = "it must implement `serde::Serialize` and `serde::Deserialize`, and borrow nothing"
)]
pub trait Message: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Message for T {}

/// The value of bytes that were received.
#[inline]
pub(super) fn decode<T: Message>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(Cow::Borrowed(bytes))
}
