//! Types that do themselves what serde's attributes do not.

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::make::{Make, Rng, animal};

/// Whatever there is, as `serde_json::Value` has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Anything {
    Nothing,
    Truth(bool),
    Number(i64),
    Text(String),
    List(Vec<Anything>),
    Map(Vec<(String, Anything)>),
}

impl Make for Anything {
    fn make(rng: &mut Rng) -> Self {
        match rng.below(6) {
            0 => Self::Nothing,
            1 => Self::Truth(Make::make(rng)),
            2 => Self::Number(Make::make(rng)),
            3 => Self::Text(Make::make(rng)),
            4 => Self::List(Make::make(rng)),
            _ => Self::Map(Make::make(rng)),
        }
    }
}

impl Serialize for Anything {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => to.serialize_unit(),
            Self::Truth(truth) => to.serialize_bool(*truth),
            Self::Number(number) => to.serialize_i64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::List(list) => list.serialize(to),
            Self::Map(entries) => {
                let mut map = to.serialize_map(None)?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Builder;
        impl<'de> Visitor<'de> for Builder {
            type Value = Anything;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Anything, E> {
                Ok(Anything::Nothing)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Anything, E> {
                Ok(Anything::Truth(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Anything, E> {
                Ok(Anything::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Anything, E> {
                Ok(Anything::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Anything, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Anything::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Anything, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Anything::Map(map))
            }
        }
        from.deserialize_any(Builder)
    }
}

/// Another form for people than for machines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Color(u8, u8, u8);

impl Make for Color {
    fn make(rng: &mut Rng) -> Self {
        Self(Make::make(rng), Make::make(rng), Make::make(rng))
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_str(&format_args!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2))
        } else {
            (self.0, self.1, self.2).serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let (red, green, blue) = Deserialize::deserialize(from)?;
            return Ok(Self(red, green, blue));
        }
        let text = String::deserialize(from)?;
        let number = text.strip_prefix('#').and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let number = number.ok_or_else(|| de::Error::custom("no color"))?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self(red, green, blue))
    }
}

/// Says nothing of its length, or the wrong thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unmeasured(Vec<u16>);

impl Make for Unmeasured {
    fn make(rng: &mut Rng) -> Self {
        Self(Make::make(rng))
    }
}

impl Serialize for Unmeasured {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let wrong = self.0.len().is_multiple_of(2).then_some(3);
        let mut list = to.serialize_seq(wrong)?;
        self.0.iter().try_for_each(|item| list.serialize_element(item))?;
        list.end()
    }
}

impl<'de> Deserialize<'de> for Unmeasured {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self)
    }
}

/// Reads past what it does not know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selective {
    wanted: u32,
}

impl Make for Selective {
    fn make(rng: &mut Rng) -> Self {
        Self { wanted: Make::make(rng) }
    }
}

impl Serialize for Selective {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Selective", 3)?;
        let address: IpAddr = [127, 0, 0, 1].into();
        fields.serialize_field("unwanted", &(address, Some("text"), [Some(1), None]))?;
        fields.serialize_field("wanted", &self.wanted)?;
        fields.serialize_field("too", &Anything::Map(vec![("a".to_owned(), Anything::Nothing)]))?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Selective {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Search;
        impl<'de> Visitor<'de> for Search {
            type Value = Selective;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("what is wanted")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Selective, A::Error> {
                let mut wanted = None;
                while let Some(key) = entries.next_key::<String>()? {
                    if key == "wanted" {
                        wanted = Some(entries.next_value()?);
                    } else {
                        entries.next_value::<IgnoredAny>()?;
                    }
                }
                let wanted = wanted.ok_or_else(|| de::Error::missing_field("wanted"))?;
                Ok(Selective { wanted })
            }
        }
        from.deserialize_any(Search)
    }
}

/// Written as small as it is, read as large as it may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shrinking(u64);

impl Make for Shrinking {
    fn make(rng: &mut Rng) -> Self {
        Self(Make::make(rng))
    }
}

impl Serialize for Shrinking {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match u8::try_from(self.0) {
            Ok(small) => to.serialize_u8(small),
            Err(_) => to.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Shrinking {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

/// An enum whose variants are asked for by their numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbered {
    Zero,
    One(u8),
}

impl Make for Numbered {
    fn make(rng: &mut Rng) -> Self {
        if rng.below(2) == 0 { Self::Zero } else { Self::One(Make::make(rng)) }
    }
}

impl Serialize for Numbered {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Zero => to.serialize_unit_variant("Numbered", 0, "Zero"),
            Self::One(number) => to.serialize_newtype_variant("Numbered", 1, "One", number),
        }
    }
}

impl<'de> Deserialize<'de> for Numbered {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ByNumber;
        impl<'de> Visitor<'de> for ByNumber {
            type Value = Numbered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number and what it stands for")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, of: A) -> Result<Numbered, A::Error> {
                match of.variant()? {
                    (0_u32, variant) => variant.unit_variant().map(|()| Numbered::Zero),
                    (1, variant) => variant.newtype_variant().map(Numbered::One),
                    (other, _) => Err(de::Error::custom(other)),
                }
            }
        }
        from.deserialize_enum("Numbered", &["Zero", "One"], ByNumber)
    }
}

/// Written as a struct and asked for as a newtype, as `serde_json` has its `RawValue`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw(String);

impl Make for Raw {
    fn make(rng: &mut Rng) -> Self {
        Self(Make::make(rng))
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("$zoo::Raw", 1)?;
        fields.serialize_field("$zoo::Raw", &self.0)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("raw text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
                match entries.next_entry::<String, String>()? {
                    Some((key, text)) if key == "$zoo::Raw" => Ok(Raw(text)),
                    _ => Err(de::Error::custom("not raw")),
                }
            }
        }
        from.deserialize_newtype_struct("$zoo::Raw", Entry)
    }
}

animal! { struct Colors { color: Color, address: IpAddr, rest: Vec<Anything>, } }
