//! Values as bytes, of which there are three kinds. A list of bytes is its own. A type that is
//! [known] to decode just what it encodes goes as postcard, which is compact. All others are
//! [described], and make a [dry run](dry_run) before they are sent.

mod described;
mod dry_run;
mod known;

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;

use dry_run::Refusal;
use known::is_known;
use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::wire_handle;

/// What went wrong between a value and its bytes, on either side.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{step} of type `{type_name}`: {reason}")]
pub(crate) struct CodecError {
    step: Step,
    type_name: String,
    reason: String,
}

/// Which way the value was going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum Step {
    #[error("could not encode a value")]
    Encode,
    #[error("could not decode a value")]
    Decode,
}

impl CodecError {
    #[cold]
    fn new<T>(step: Step, reason: impl Into<String>) -> Self {
        Self { step, type_name: type_name::<T>().to_owned(), reason: reason.into() }
    }

    #[cold]
    fn refused<T>(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::Serialize(error) => format!("its `Serialize` refused it: {error}"),
            Refusal::Deserialize(error) => format!("its `Deserialize` would refuse it: {error}"),
            Refusal::Panic(message) => format!("its `Deserialize` would panic: {message}"),
            Refusal::Altered(error) => error.to_string(),
            Refusal::Unclear(error) => format!("its `Serialize` refused it: {error}"),
        };
        Self::new::<T>(Step::Encode, reason)
    }
}

/// Why bytes are not those of a [known](is_known) type.
#[cold]
fn damage(error: &postcard::Error) -> String {
    match error {
        postcard::Error::SerdeDeCustom => {
            let generic = "its `Deserialize` refused it";
            // The encoding drops what `Deserialize` says; handles leave it here.
            wire_handle::take_refusal().unwrap_or_else(|| generic.to_owned())
        }
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early".to_owned(),
        other => other.to_string(),
    }
}

/// The bytes of a value. A `Vec<u8>` or [`Bytes`], also as the only argument of a function, is its
/// own bytes, and is not copied.
pub(crate) fn encode<T>(value: T) -> Result<Vec<u8>, CodecError>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let mut out = Vec::new();
    append(value, &mut out)?;
    Ok(out)
}

/// Adds the bytes of a value to `out`, or nothing if there is an error. What needs no copy takes
/// the place of an empty `out`.
pub(crate) fn append<T>(value: T, out: &mut Vec<u8>) -> Result<(), CodecError>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let before = out.len();
    match into_bytes(value) {
        Ok(bytes) if before == 0 => *out = bytes,
        Ok(bytes) => out.extend_from_slice(&bytes),
        Err(value) => append_ref(&value, out)?,
    }
    Ok(())
}

/// Adds the bytes of a value that [are not its own](as_bytes) to `out`, or nothing if there is an
/// error.
pub(crate) fn append_ref<T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let before = out.len();
    write(value, Appending(out)).inspect_err(|_| out.truncate(before))
}

/// Has the bytes of a value that [are not its own](as_bytes) written.
#[inline]
pub(crate) fn write<T, F>(value: &T, to: F) -> Result<F::Output, CodecError>
where
    T: Serialize + DeserializeOwned + 'static,
    F: Flavor,
{
    if !is_known::<T>() {
        return write_described(value, to);
    }
    postcard::serialize_with_flavor(value, to)
        .map_err(|error| CodecError::refused::<T>(dry_run::refusal(value, error)))
}

fn write_described<T, F>(value: &T, mut to: F) -> Result<F::Output, CodecError>
where
    T: Serialize + DeserializeOwned,
    F: Flavor,
{
    let bytes = dry_run::encode(value).map_err(CodecError::refused::<T>)?;
    let written = to.try_extend(&bytes).and_then(|()| to.finalize());
    written.map_err(|error| CodecError::new::<T>(Step::Encode, error.to_string()))
}

/// Has postcard write behind what is there.
struct Appending<'a>(&'a mut Vec<u8>);

impl Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The value of bytes that [`encode`] made of the same type.
#[inline]
pub(crate) fn decode<T>(bytes: Cow<'_, [u8]>) -> Result<T, CodecError>
where
    T: DeserializeOwned + 'static,
{
    if is_bytes::<T>() {
        return Ok(from_bytes(bytes.into_owned()));
    }
    if !is_known::<T>() {
        return described::decode(&bytes)
            .map_err(|error| CodecError::new::<T>(Step::Decode, error.to_string()));
    }
    wire_handle::take_refusal();
    match postcard::take_from_bytes(&bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            Err(CodecError::new::<T>(Step::Decode, format!("{} bytes are left over", rest.len())))
        }
        Err(error) => Err(CodecError::new::<T>(Step::Decode, damage(&error))),
    }
}

/// Whether a value of this type is its own encoding.
pub(crate) fn is_bytes<T: 'static>() -> bool {
    let own = TypeId::of::<T>();
    own == TypeId::of::<Vec<u8>>()
        || own == TypeId::of::<(Vec<u8>,)>()
        || own == TypeId::of::<Bytes>()
        || own == TypeId::of::<(Bytes,)>()
}

/// The bytes of a value that is its own encoding.
pub(crate) fn as_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    let value: &dyn Any = value;
    let vector = value
        .downcast_ref::<Vec<u8>>()
        .or_else(|| value.downcast_ref().map(|(bytes,): &(Vec<u8>,)| bytes))
        .or_else(|| value.downcast_ref().map(|bytes: &Bytes| &**bytes))
        .or_else(|| value.downcast_ref().map(|(bytes,): &(Bytes,)| &**bytes))?;
    Some(vector)
}

fn into_bytes<T: 'static>(value: T) -> Result<Vec<u8>, T> {
    cast(value)
        .or_else(|value| cast(value).map(|(bytes,): (Vec<u8>,)| bytes))
        .or_else(|value| cast(value).map(Bytes::into_vec))
        .or_else(|value| cast(value).map(|(bytes,): (Bytes,)| bytes.into_vec()))
}

/// The value of a type that [is its own encoding](is_bytes).
fn from_bytes<T: 'static>(bytes: Vec<u8>) -> T {
    cast(bytes)
        .or_else(|bytes| cast((bytes,)))
        .or_else(|(bytes,)| cast(Bytes::new(bytes)))
        .or_else(|bytes| cast((bytes,)))
        .unwrap_or_else(|_| unreachable!("`is_bytes` has the same list"))
}

/// The same value under its other name, if `A` and `B` are one type.
fn cast<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut slot = Some(value);
    let other: &mut dyn Any = &mut slot;
    match other.downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(value) => Ok(value),
        None => Err(slot.expect("a slot of another type is as it was")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::Bytes;

    fn round_trip<T: Serialize + DeserializeOwned + 'static>(value: T) -> T {
        decode(Cow::Owned(encode(value).unwrap())).unwrap()
    }

    #[test]
    fn values_come_back() {
        assert_eq!(
            round_trip((1_u64, "two".to_owned(), Some(3.0))),
            (1, "two".to_owned(), Some(3.0))
        );
        assert_eq!(round_trip(()), ());
        assert_eq!(round_trip(vec![1_u8, 2, 3]), [1, 2, 3]);
        assert_eq!(round_trip(Bytes::new(vec![1, 2, 3])), Bytes::new(vec![1, 2, 3]));
    }

    #[test]
    fn bytes_are_not_copied() {
        let bytes = vec![7_u8; 1000];
        let address = bytes.as_ptr();
        let encoded = encode(bytes).unwrap();
        assert_eq!(encoded.as_ptr(), address);
        let decoded: Vec<u8> = decode(Cow::Owned(encoded)).unwrap();
        assert_eq!(decoded.as_ptr(), address);
        let (argument,): (Vec<u8>,) = decode(Cow::Owned(encode((decoded,)).unwrap())).unwrap();
        assert_eq!(argument.as_ptr(), address);
        let borrowed: Vec<u8> = decode(Cow::Borrowed(&argument)).unwrap();
        assert_eq!(borrowed, argument);
        let (wrapped,): (Bytes,) =
            decode(Cow::Owned(encode((Bytes::new(argument),)).unwrap())).unwrap();
        let wrapped: Bytes = decode(Cow::Owned(encode(wrapped).unwrap())).unwrap();
        assert_eq!(wrapped.as_ptr(), address);
    }

    #[test]
    fn an_error_leaves_what_was_there() {
        let mut out = Vec::new();
        append(5_u8, &mut out).unwrap();
        append(vec![6_u8, 7], &mut out).unwrap();
        append((1_u8, SystemTime::UNIX_EPOCH - Duration::from_secs(1)), &mut out).unwrap_err();
        append((1_u8, Refuses(2)), &mut out).unwrap_err();
        assert_eq!(out, [5, 6, 7]);
    }

    #[test]
    fn bytes_that_do_not_fit_the_type_are_errors() {
        let short = decode::<u64>(Cow::Borrowed(&[])).unwrap_err().to_string();
        assert_eq!(short, "could not decode a value of type `u64`: the bytes end too early");
        let long = decode::<u8>(Cow::Borrowed(&[1, 2, 3])).unwrap_err().to_string();
        assert_eq!(long, "could not decode a value of type `u8`: 2 bytes are left over");
        let none = decode::<Refuses>(Cow::Borrowed(&[])).unwrap_err().to_string();
        assert!(none.ends_with("Refuses`: the bytes end too early"), "{none}");
        let mut long = encode(Refuses(1)).unwrap();
        long.push(0);
        let long = decode::<Refuses>(Cow::Borrowed(&long)).unwrap_err().to_string();
        assert!(long.ends_with("Refuses`: 1 bytes are left over"), "{long}");
    }

    /// Does not decode if it is 2.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(try_from = "u8")]
    struct Refuses(u8);

    impl TryFrom<u8> for Refuses {
        type Error = &'static str;

        fn try_from(number: u8) -> Result<Self, &'static str> {
            if number == 2 { Err("two is too many") } else { Ok(Self(number)) }
        }
    }

    #[test]
    fn what_is_known_is_compact_and_errors_are_told_all_the_same() {
        assert_eq!(encode((1_u8, "ab".to_owned())).unwrap(), [1, 2, b'a', b'b']);
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let error = encode((1_u8, vec![early])).unwrap_err().to_string();
        assert!(error.contains("`(u8, alloc::vec::Vec<std::time::SystemTime>)`"), "{error}");
        assert!(
            error.ends_with("at `[1][0]`: SystemTime must be later than UNIX_EPOCH"),
            "{error}"
        );
    }
}
