//! Values as bytes: postcard for all of serde, and bytes as they are.

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::ticket;

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
    fn new<T>(step: Step, error: &postcard::Error) -> Self {
        Self { step, type_name: type_name::<T>().to_owned(), reason: reason(error) }
    }
}

/// postcard's errors in the words of somebody who has a type that does not travel.
fn reason(error: &postcard::Error) -> String {
    match error {
        postcard::Error::WontImplement | postcard::Error::NotYetImplemented => {
            "its `Deserialize` asks what the data is (as `#[serde(untagged)]`, \
             `#[serde(flatten)]` and `serde_json::Value` do), which a compact encoding cannot say"
                .to_owned()
        }
        postcard::Error::SerdeSerCustom => "its `Serialize` refused".to_owned(),
        postcard::Error::SerdeDeCustom => {
            let generic = "its `Deserialize` refused, or does not mirror its `Serialize`";
            // The encoding drops what `Deserialize` says; handles leave it here.
            ticket::take_refusal().unwrap_or_else(|| generic.to_owned())
        }
        postcard::Error::SerializeSeqLengthUnknown => {
            "it holds a sequence whose length is not known beforehand".to_owned()
        }
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early".to_owned(),
        other => other.to_string(),
    }
}

/// The bytes of a value. A `Vec<u8>` or [`Bytes`], also as the only argument of a function, is its
/// own bytes, and is not copied.
pub(crate) fn encode<T: Serialize + 'static>(value: T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    append(value, &mut out)?;
    Ok(out)
}

/// Adds the bytes of a value to `out`, or nothing if there is an error. What needs no copy takes
/// the place of an empty `out`.
pub(crate) fn append<T: Serialize + 'static>(
    value: T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
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
pub(crate) fn append_ref<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = out.len();
    write(value, Appending(out)).inspect_err(|_| out.truncate(before))
}

/// Has the bytes of a value that [are not its own](as_bytes) written.
#[inline]
pub(crate) fn write<T: Serialize, F: Flavor>(value: &T, to: F) -> Result<F::Output, CodecError> {
    postcard::serialize_with_flavor(value, to)
        .map_err(|error| CodecError::new::<T>(Step::Encode, &error))
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
    ticket::take_refusal();
    match postcard::take_from_bytes(&bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            let reason = format!("{} bytes are left over", rest.len());
            Err(CodecError { step: Step::Decode, type_name: type_name::<T>().to_owned(), reason })
        }
        Err(error) => Err(CodecError::new::<T>(Step::Decode, &error)),
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
        struct Half;
        impl Serialize for Half {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error, SerializeTuple};
                to.serialize_tuple(2)?.serialize_element(&1_u8)?;
                Err(S::Error::custom("no second half"))
            }
        }
        let mut out = Vec::new();
        append(5_u8, &mut out).unwrap();
        append(vec![6_u8, 7], &mut out).unwrap();
        append(Half, &mut out).unwrap_err();
        assert_eq!(out, [5, 6, 7]);
    }

    #[test]
    fn bytes_that_do_not_fit_the_type_are_errors() {
        let short = decode::<u64>(Cow::Borrowed(&[])).unwrap_err().to_string();
        assert_eq!(short, "could not decode a value of type `u64`: the bytes end too early");
        let long = decode::<u8>(Cow::Borrowed(&[1, 2, 3])).unwrap_err().to_string();
        assert_eq!(long, "could not decode a value of type `u8`: 2 bytes are left over");
    }

    #[test]
    fn a_type_that_does_not_travel_says_why() {
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
        }
        let encoded = encode(Either::Number(1)).unwrap();
        let error = decode::<Either>(Cow::Owned(encoded)).unwrap_err().to_string();
        assert!(error.contains("Either") && error.contains("untagged"), "{error}");
    }
}
