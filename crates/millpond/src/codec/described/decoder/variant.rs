//! Variants of enums, from described bytes.

use serde::de::value::{BorrowedStrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Decoder, Of};
use crate::codec::described::error::Error;
use crate::codec::described::token::Tag;

/// A variant that was written as such.
pub(super) struct Enum<'x, 'de> {
    pub(super) decoder: &'x mut Decoder<'de>,
}

impl<'x, 'de> EnumAccess<'de> for Enum<'x, 'de> {
    type Error = Error;
    type Variant = Data<'x, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Data<'x, 'de>), Error> {
        let tag = self.decoder.reader.tag()?;
        let variant = self.decoder.reader.variant()?;
        let value = seed.deserialize(VariantName { name: variant.name, index: variant.index })?;
        Ok((value, Data { decoder: self.decoder, tag, name: variant.name }))
    }
}

/// Says which variant it is: by name, since the index counts variants that `Deserialize` skips.
struct VariantName<'de> {
    name: &'de str,
    index: u32,
}

impl<'de> Deserializer<'de> for VariantName<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.name)
    }

    /// A hand-written `Deserialize` may ask for the index.
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let index: U32Deserializer<Error> = self.index.into_deserializer();
        index.deserialize_any(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u32(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// What a variant holds.
pub(super) struct Data<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
    tag: Tag,
    name: &'de str,
}

impl<'de> Data<'_, 'de> {
    fn parts<V: Visitor<'de>>(self, asked: &'static str, visitor: V) -> Result<V::Value, Error> {
        match self.tag {
            Tag::TupleVariant => self.decoder.seq(0, visitor),
            Tag::StructVariant => self.decoder.map(Of::Struct, 0, visitor),
            // As where a tuple variant holds a single list.
            Tag::NewtypeVariant => self.decoder.typed(visitor),
            tag => Err(Error::invalid_type(Unexpected::Other(tag.noun()), &asked)),
        }
        .map_err(|error| error.in_name(self.name))
    }
}

impl<'de> VariantAccess<'de> for Data<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.tag {
            Tag::UnitVariant => Ok(()),
            Tag::NewtypeVariant if self.decoder.unwrap()? == Tag::Unit => {
                self.decoder.reader.skip_tag();
                Ok(())
            }
            tag => Err(Error::invalid_type(Unexpected::Other(tag.noun()), &"a unit variant")
                .in_name(self.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        match self.tag {
            Tag::NewtypeVariant => seed.deserialize(self.decoder),
            Tag::UnitVariant => seed.deserialize(().into_deserializer()),
            Tag::TupleVariant | Tag::StructVariant => {
                let Self { decoder, tag, .. } = self;
                seed.deserialize(VariantData { decoder, tag })
            }
            tag => Err(Error::invalid_type(Unexpected::Other(tag.noun()), &"a newtype variant")),
        }
        .map_err(|error| error.in_name(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.parts("a tuple variant", visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.parts("a struct variant", visitor)
    }
}

/// What a variant holds, as a value of its own.
struct VariantData<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
    tag: Tag,
}

impl<'de> Deserializer<'de> for VariantData<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tag {
            Tag::TupleVariant => self.decoder.seq(0, visitor),
            Tag::StructVariant => self.decoder.map(Of::Struct, 0, visitor),
            _ => self.decoder.any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tag {
            Tag::TupleVariant | Tag::StructVariant => visitor.visit_some(self),
            _ => self.decoder.deserialize_option(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.tag {
            Tag::TupleVariant | Tag::StructVariant => visitor.visit_newtype_struct(self),
            _ => self.decoder.deserialize_newtype_struct(name, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.tag {
            Tag::TupleVariant | Tag::StructVariant => {
                Err(Error::invalid_type(Unexpected::Other(self.tag.noun()), &"an enum"))
            }
            _ => self.decoder.deserialize_enum(name, variants, visitor),
        }
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant with data as the only entry of a map.
pub(super) struct VariantAsEntry<'x, 'de> {
    pub(super) decoder: &'x mut Decoder<'de>,
    pub(super) tag: Tag,
    pub(super) name: &'de str,
    pub(super) next: Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Key,
    Value,
    Nothing,
}

impl<'de> MapAccess<'de> for VariantAsEntry<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if self.next != Next::Key {
            return Ok(None);
        }
        self.next = Next::Value;
        seed.deserialize(BorrowedStrDeserializer::new(self.name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if self.next != Next::Value {
            return Err(Error::new("its `Deserialize` reads a value without a key"));
        }
        self.next = Next::Nothing;
        let data = VariantData { decoder: &mut *self.decoder, tag: self.tag };
        seed.deserialize(data).map_err(|error| error.in_name(self.name))
    }
}
