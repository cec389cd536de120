//! Enums of each representation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::make::{Make, animal};
use crate::standard::{Double, Single};
use crate::structs::{Flattens, LeavesOut, Newtype, Options, Plain, Unit};

animal! { enum External {
    Unit,
    Newtype(Plain),
    NewtypeOfOption(Option<u8>),
    NewtypeOfList(Vec<u8>),
    NewtypeOfPair((u8, String)),
    NewtypeOfUnit(()),
    Tuple(u8, LeavesOut, Option<Box<External>>),
    TupleOfNone(),
    Struct { a: u8, b: LeavesOut },
    StructOfNone {},
    LeavesOut { #[serde(skip_serializing_if = "Option::is_none")] a: Option<u8>, b: Vec<u8> },
    Flattens { #[serde(flatten)] plain: Plain, z: u8 },
    Other(Box<External>),
} }

animal! { #[serde(rename_all = "kebab-case", rename_all_fields = "UPPERCASE")] enum Renamed {
    FirstOne { a_field: u8 },
    #[serde(rename = "2", alias = "second")] SecondOnes,
    TheThird(u16),
} }

/// What is not there shifts the numbers of what is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Skips {
    #[serde(skip)]
    #[expect(dead_code, reason = "it never travels")]
    Never(u8),
    Second(u8),
    Third(u8),
    #[serde(other)]
    Other,
}

impl Make for Skips {
    fn make(rng: &mut crate::make::Rng) -> Self {
        match rng.below(3) {
            0 => Self::Second(u8::make(rng)),
            1 => Self::Third(u8::make(rng)),
            _ => Self::Other,
        }
    }
}

animal! { #[serde(tag = "type")] enum Internal {
    Unit,
    Newtype(Plain),
    NewtypeOfMap(BTreeMap<String, Double>),
    NewtypeOfUnit(Unit),
    NewtypeOfNewtype(Newtype),
    #[serde(rename = "s")] Struct { a: Option<u8>, b: LeavesOut, c: (u8, char) },
    Deeper(Box<Internal2>),
    Flattening(Flattens),
    Optional(Options),
} }

animal! { #[serde(tag = "kind", rename_all = "lowercase")] enum Internal2 {
    A { of: External },
    B(Plain),
} }

animal! { #[serde(tag = "t", content = "c")] enum Adjacent {
    Unit,
    Newtype(Option<u8>),
    NewtypeOfUnit(()),
    Tuple(u8, Single, Option<Box<Adjacent>>),
    Struct { #[serde(skip_serializing_if = "Option::is_none")] a: Option<u8>, b: Vec<u8> },
    Other(Internal),
} }

animal! { #[serde(untagged)] enum Untagged {
    Nothing,
    Number(i64),
    Text(String),
    Truth(bool),
    Letter { letter: char },
    Pair(u8, Double),
    List(Vec<Untagged>),
    Struct { a: LeavesOut, b: Option<External> },
    Other(Box<UntaggedOther>),
} }

animal! { struct UntaggedOther { zoo: BTreeMap<String, Untagged>, tag: Internal, content: Adjacent, } }

animal! { enum PartlyUntagged {
    Tagged(u8),
    Unit,
    #[serde(untagged)] Text(String),
    #[serde(untagged)] Struct { plain: Plain },
} }

animal! { enum Conversions {
    #[serde(with = "text")] As(u64),
    #[serde(serialize_with = "text::serialize", deserialize_with = "text::deserialize")] Also(u64),
} }

mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

animal! { #[serde(into = "u8", try_from = "u8")] enum Number { One, Two, } }

impl From<Number> for u8 {
    fn from(number: Number) -> Self {
        number as u8 + 1
    }
}

impl TryFrom<u8> for Number {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("{other} is no number")),
        }
    }
}

// What holds anything, in each of the ways.
animal! { enum InExternal<T> { One(T), Two { a: T, b: Option<T> }, Three(Vec<T>, T), } }
animal! { #[serde(tag = "type")] enum InInternal<T> { One { a: T }, Two { b: Vec<T>, c: Option<T> }, } }
animal! { #[serde(tag = "t", content = "c")] enum InAdjacent<T> { One(T), Two(T, Option<T>), } }
animal! { #[serde(untagged)] enum InUntagged<T> { One(T, u8), Two { b: Vec<T>, c: Option<T> }, } }
