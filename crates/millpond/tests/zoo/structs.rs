//! Structs with each attribute that changes what is encoded.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::make::{Make, Rng, animal};
use crate::standard::Double;

animal! { struct Plain { number: u8, text: String, list: Vec<u16>, } }
animal! { struct Empty {} }
animal! { struct Nothing(); }
animal! { struct Newtype(Plain); }
animal! { struct NewtypeOfOption(Option<u8>); }
animal! { struct Pair(u8, Option<Newtype>); }
animal! { #[serde(transparent)] struct Transparent { inner: Vec<i16>, } }

/// As `Unit` in a program: a type without a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unit;

impl Make for Unit {
    fn make(_: &mut Rng) -> Self {
        Self
    }
}

animal! { struct LeavesOut {
    #[serde(skip_serializing_if = "Option::is_none")] a: Option<u8>,
    b: u8,
    c: Vec<u8>,
} }

animal! { struct LeavesMuchOut {
    #[serde(default, skip_serializing_if = "Vec::is_empty")] list: Vec<u8>,
    number: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")] text: String,
    #[serde(skip_serializing_if = "Option::is_none")] child: Option<Box<LeavesMuchOut>>,
    #[serde(default, skip_serializing_if = "HashMap::is_empty")] map: HashMap<u16, LeavesOut>,
} }

animal! { #[serde(default)] struct HasDefaults {
    #[serde(skip_serializing_if = "is_seven")] seven: u8,
    #[serde(skip_serializing_if = "Option::is_none")] words: Option<String>,
    last: bool,
} }

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_seven(number: &u8) -> bool {
    *number == 7
}

impl Default for HasDefaults {
    fn default() -> Self {
        Self { seven: 7, words: None, last: true }
    }
}

animal! { #[serde(rename_all = "SCREAMING-KEBAB-CASE", deny_unknown_fields)] struct Renamed {
    first_field: u8,
    #[serde(rename = "type", alias = "kind")] of_type: String,
    #[serde(rename = "")] without_a_name: Option<u8>,
} }

/// `skip` leaves fields to their default, which they have here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skips {
    first: u8,
    #[serde(skip)]
    cache: Option<Vec<u8>>,
    #[serde(skip, default = "forty_two")]
    number: u8,
    last: u64,
}

fn forty_two() -> u8 {
    42
}

impl Make for Skips {
    fn make(rng: &mut Rng) -> Self {
        Self { first: u8::make(rng), cache: None, number: 42, last: u64::make(rng) }
    }
}

animal! { struct Flattens {
    id: u32,
    #[serde(flatten)] plain: Plain,
    #[serde(flatten)] defaults: HasDefaults,
    z: Option<u8>,
} }

animal! { struct FlattensMaybe {
    id: u32,
    #[serde(flatten)] renamed: Option<Renamed>,
} }

animal! { struct FlattensDeeply { #[serde(flatten)] inner: Flattens, own: LeavesOut, } }

/// Keys of the rest that are names of fields are doubled, which no format can decode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlattensRest {
    pub(crate) id: u32,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Small>,
}

impl Make for FlattensRest {
    fn make(rng: &mut Rng) -> Self {
        let rest: BTreeMap<String, Small> = Make::make(rng);
        Self { id: u32::make(rng), rest: rest.into_iter().filter(|(key, _)| key != "id").collect() }
    }
}

animal! { struct FlattensNumbers { #[serde(flatten)] rest: HashMap<u64, Option<char>>, } }
animal! { struct FlattensSmall { id: char, #[serde(flatten)] small: Small, } }
animal! { struct FlattensAny<T> { id: u8, #[serde(flatten)] one: One<T>, } }
animal! { struct One<T> { one: T, } }

animal! { enum Small { Nothing(()), Number(i64), Text { text: String }, List(Vec<u8>, char), } }

animal! { struct With {
    #[serde(with = "as_text")] number: u64,
    #[serde(serialize_with = "as_text::serialize", deserialize_with = "as_text::deserialize")]
    small: i8,
    #[serde(with = "seconds_or_nothing", default, skip_serializing_if = "Option::is_none")]
    time: Option<Duration>,
    #[serde(with = "pairs")] map: HashMap<Vec<u8>, IpAddr>,
    #[serde(with = "serde_bytes")] bytes: Vec<u8>,
    plain: u16,
} }

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::*;

    pub(super) fn serialize<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes the value that is there without saying that it is.
mod seconds_or_nothing {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => (time.as_secs(), time.subsec_nanos()).serialize(to),
            None => to.serialize_unit(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let time = Option::<(u64, u32)>::deserialize(from)?;
        Ok(time.map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds)))
    }
}

/// A map as a list whose length is not known beforehand.
mod pairs {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        map: &HashMap<Vec<u8>, IpAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = to.serialize_seq(None)?;
        map.iter().try_for_each(|pair| list.serialize_element(&pair))?;
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<HashMap<Vec<u8>, IpAddr>, D::Error> {
        Ok(Vec::<(Vec<u8>, IpAddr)>::deserialize(from)?.into_iter().collect())
    }
}

animal! { #[serde(from = "(u8, String)", into = "(u8, String)")] struct Converted {
    text: String,
    number: u8,
} }

impl From<(u8, String)> for Converted {
    fn from((number, text): (u8, String)) -> Self {
        Self { text, number }
    }
}

impl From<Converted> for (u8, String) {
    fn from(Converted { text, number }: Converted) -> Self {
        (number, text)
    }
}

/// A type of elsewhere, which serde does not know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Elsewhere {
    pub(crate) one: u8,
    pub(crate) two: Double,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Elsewhere")]
struct Likeness {
    one: u8,
    two: Double,
}

impl Make for Elsewhere {
    fn make(rng: &mut Rng) -> Self {
        Self { one: Make::make(rng), two: Make::make(rng) }
    }
}

animal! { struct Remote { #[serde(with = "Likeness")] of: Elsewhere, more: u8, } }

animal! { struct Generic<A, B> { a: A, b: Vec<B>, #[serde(skip)] of: PhantomData<A>, } }

impl<T> Make for PhantomData<T> {
    fn make(_: &mut Rng) -> Self {
        Self
    }
}

animal! { struct Tree { name: char, children: Vec<Tree>, } }
animal! { struct Chain { next: Option<Box<Chain>>, } }
animal! { struct Options {
    unit: Option<()>,
    twice: Option<Option<u8>>,
    thrice: Option<Option<Option<()>>>,
    of_list: Option<Vec<Option<bool>>>,
} }

/// Keeps text of the encoding where it can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Keeps {
    text: Cow<'static, str>,
    list: Cow<'static, [u16]>,
}

impl Make for Keeps {
    fn make(rng: &mut Rng) -> Self {
        Self { text: String::make(rng).into(), list: Vec::make(rng).into() }
    }
}
