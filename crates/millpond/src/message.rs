//! What can travel to another process.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can travel to another process, as an argument, as a result, or through a channel or queue:
/// whatever serde encodes and decodes.
///
/// It is implemented for all such types. A value arrives equal, so far as serde can tell, or is
/// refused when it is sent: types of one's own are decoded by their sender, too, to see what would
/// arrive. What serde cannot tell is the order of a list from that of a set, a part that is not
/// encoded at all, and variants of an untagged enum that encode alike.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    note = "it must implement `serde::Serialize` and `serde::Deserialize`, and borrow nothing",
    note = "an error that does not can be made a `millpond::Failure`, which `?` does",
    note = "a closure that never returns needs a type that it would return: `|x: u64| -> u64 {{ … }}`"
)]
pub trait Message: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Message for T {}
