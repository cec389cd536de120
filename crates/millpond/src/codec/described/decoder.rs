//! Values of described bytes.

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::digest;
use super::error::{Error, Step};
use super::token::{Reader, Tag};

/// Gives what is there, and not what is asked for, where the two differ.
pub(super) struct Decoder<'de> {
    reader: Reader<'de>,
    /// All bytes.
    bytes: &'de [u8],
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { reader: Reader::new(bytes), bytes }
    }

    /// Sees that nothing is left over.
    pub(super) fn end(&self) -> Result<(), Error> {
        match self.reader.left() {
            0 => Ok(()),
            left => Err(Error::new(format!("{left} bytes are left over"))),
        }
    }

    fn at(&self) -> usize {
        self.bytes.len() - self.reader.left()
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.reader.enter()?;
        let value = read(self)?;
        self.reader.leave();
        Ok(value)
    }

    /// Goes through newtype structs to what they hold.
    fn unwrap_newtypes(&mut self) -> Result<Tag, Error> {
        loop {
            match self.reader.peek()? {
                Tag::NewtypeStruct => {
                    self.reader.skip_tag();
                    self.reader.name()?;
                }
                tag => return Ok(tag),
            }
        }
    }

    /// Goes through what is around a value that is asked for by its own type.
    fn unwrap(&mut self) -> Result<Tag, Error> {
        loop {
            match self.unwrap_newtypes()? {
                Tag::Some => self.reader.skip_tag(),
                tag => return Ok(tag),
            }
        }
    }

    fn seq<V: Visitor<'de>>(&mut self, expected: usize, visitor: V) -> Result<V::Value, Error> {
        self.nested(|decoder| {
            let value = visitor.visit_seq(Items { decoder, index: 0, expected })?;
            match decoder.reader.tag()? {
                Tag::End => Ok(value),
                _ => Err(Error::new("it has more items than its `Deserialize` reads")),
            }
        })
    }

    fn map<V: Visitor<'de>>(
        &mut self,
        of: Of,
        expected: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|decoder| {
            let mut entries = Entries { decoder, of, left: expected, state: State::Key };
            let value = visitor.visit_map(&mut entries)?;
            entries.skip_rest()?;
            Ok(value)
        })
    }

    /// An enum as formats without enums have it: a map from the variant to what it holds.
    fn variant_as_map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.nested(|decoder| {
            let tag = decoder.reader.tag()?;
            let name = decoder.reader.variant()?.name;
            let mut entry = VariantAsEntry { decoder, tag, name, next: Next::Key };
            let value = visitor.visit_map(&mut entry)?;
            match entry.next {
                Next::Nothing => Ok(value),
                _ => Err(Error::new("its `Deserialize` does not read the variant")),
            }
        })
    }

    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let tag = self.unwrap_newtypes()?;
        if is_variant_with_data(tag) {
            return self.variant_as_map(visitor);
        }
        self.reader.skip_tag();
        let reader = &mut self.reader;
        match tag {
            Tag::Unit => visitor.visit_unit(),
            Tag::None => visitor.visit_none(),
            Tag::Some => self.nested(|decoder| visitor.visit_some(decoder)),
            Tag::False => visitor.visit_bool(false),
            Tag::True => visitor.visit_bool(true),
            Tag::U8 => visitor.visit_u8(reader.array::<1>()?[0]),
            Tag::U16 => visitor.visit_u16(reader.unsigned()?),
            Tag::U32 => visitor.visit_u32(reader.unsigned()?),
            Tag::U64 => visitor.visit_u64(reader.unsigned()?),
            Tag::U128 => visitor.visit_u128(reader.unsigned()?),
            Tag::I8 => visitor.visit_i8(reader.array::<1>()?[0].cast_signed()),
            Tag::I16 => visitor.visit_i16(reader.signed()?),
            Tag::I32 => visitor.visit_i32(reader.signed()?),
            Tag::I64 => visitor.visit_i64(reader.signed()?),
            Tag::I128 => visitor.visit_i128(reader.signed()?),
            Tag::F32 => visitor.visit_f32(f32::from_le_bytes(reader.array()?)),
            Tag::F64 => visitor.visit_f64(f64::from_le_bytes(reader.array()?)),
            Tag::Char => visitor.visit_char(reader.char()?),
            Tag::Str => visitor.visit_borrowed_str(reader.str()?),
            Tag::Bytes => visitor.visit_borrowed_bytes(reader.counted_bytes()?),
            Tag::UnitStruct => {
                reader.name()?;
                visitor.visit_unit()
            }
            Tag::UnitVariant => visitor.visit_borrowed_str(reader.variant()?.name),
            Tag::Seq | Tag::Tuple => {
                let expected = reader.expected()?;
                self.seq(expected, visitor)
            }
            Tag::TupleStruct => {
                reader.name()?;
                self.seq(0, visitor)
            }
            Tag::Map => {
                let expected = reader.expected()?;
                self.map(Of::Map, expected, visitor)
            }
            Tag::Struct => {
                reader.name()?;
                self.map(Of::Struct, 0, visitor)
            }
            Tag::End
            | Tag::NewtypeStruct
            | Tag::NewtypeVariant
            | Tag::TupleVariant
            | Tag::StructVariant => Err(Error::damaged()),
        }
    }

    fn typed<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.unwrap()?;
        self.any(visitor)
    }
}

fn is_variant_with_data(tag: Tag) -> bool {
    matches!(tag, Tag::NewtypeVariant | Tag::TupleVariant | Tag::StructVariant)
}

macro_rules! typed {
    ($($method:ident($($argument:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* visitor: V) -> Result<V::Value, Error> {
            self.typed(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(visitor)
    }

    typed! {
        deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_f32() deserialize_f64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_unit() deserialize_unit_struct(&'static str)
        deserialize_seq() deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize)
        deserialize_map() deserialize_struct(&'static str, &'static [&'static str])
        deserialize_identifier()
    }

    /// A value that is not said to be optional is one that is there, as in formats for people.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.unwrap_newtypes()? {
            Tag::None | Tag::Some | Tag::Unit => self.any(visitor),
            _ => self.nested(|decoder| visitor.visit_some(decoder)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.reader.peek()? {
            Tag::NewtypeStruct => {
                self.reader.skip_tag();
                self.reader.name()?;
            }
            // `serde_json`'s `RawValue` is written as a struct and asked for as a newtype.
            Tag::Struct if name.starts_with('$') => return self.any(visitor),
            _ => {}
        }
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.unwrap()? {
            Tag::UnitVariant | Tag::NewtypeVariant | Tag::TupleVariant | Tag::StructVariant => {
                self.nested(|decoder| visitor.visit_enum(Enum { decoder }))
            }
            Tag::Str => {
                self.reader.skip_tag();
                visitor.visit_enum(BorrowedStrDeserializer::new(self.reader.str()?))
            }
            Tag::Map => {
                self.reader.skip_tag();
                self.reader.expected()?;
                self.nested(|decoder| {
                    let mut entries = Entries { decoder, of: Of::Map, left: 0, state: State::Key };
                    let value = visitor.visit_enum(MapAccessDeserializer::new(&mut entries))?;
                    entries.skip_rest()?;
                    Ok(value)
                })
            }
            tag => Err(Error::invalid_type(Unexpected::Other(tag.noun()), &"an enum")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.reader.skip_value()?;
        visitor.visit_unit()
    }

    /// As when it was encoded.
    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The items of a list or a tuple.
struct Items<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
    index: usize,
    expected: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if self.decoder.reader.peek()? == Tag::End {
            return Ok(None);
        }
        let item = seed.deserialize(&mut *self.decoder);
        let item = item.map_err(|error| error.at(Step::Index(self.index)))?;
        self.index += 1;
        Ok(Some(item))
    }

    fn size_hint(&self) -> Option<usize> {
        self.expected.checked_sub(self.index).filter(|&left| left > 0)
    }
}

/// What has entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Map,
    /// With names for keys.
    Struct,
}

/// What comes next of a map.
#[derive(Clone, Copy)]
enum State<'de> {
    Key,
    /// The value of this key.
    Value(Key<'de>),
    /// Nothing: its end was read.
    Over,
}

#[derive(Clone, Copy)]
enum Key<'de> {
    Name(&'de str),
    Encoded(&'de [u8]),
}

impl Key<'_> {
    fn step(self) -> Step {
        match self {
            Self::Name(name) => Step::Name(name.to_owned()),
            Self::Encoded(bytes) => {
                Step::Key(digest::key_as_text(bytes).unwrap_or_else(|| "..".to_owned()))
            }
        }
    }
}

/// The entries of a map or a struct.
struct Entries<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
    of: Of,
    /// How many are still expected.
    left: usize,
    state: State<'de>,
}

impl Entries<'_, '_> {
    fn skip_value(&mut self) -> Result<(), Error> {
        if let State::Value(_) = self.state {
            self.state = State::Key;
            self.decoder.reader.skip_value()?;
        }
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<(), Error> {
        self.skip_value()?;
        if let State::Key = self.state {
            let is_over = match self.of {
                Of::Map => self.decoder.reader.tag()? == Tag::End,
                Of::Struct => self.decoder.reader.name_if_any()?.is_none(),
            };
            if !is_over {
                return Err(Error::new("it has more entries than its `Deserialize` reads"));
            }
        }
        Ok(())
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.skip_value()?;
        if let State::Over = self.state {
            return Ok(None);
        }
        if self.of == Of::Struct {
            let Some(name) = self.decoder.reader.name_if_any()? else {
                self.state = State::Over;
                return Ok(None);
            };
            self.state = State::Value(Key::Name(name));
            return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
        }
        if self.decoder.reader.peek()? == Tag::End {
            self.decoder.reader.skip_tag();
            self.state = State::Over;
            return Ok(None);
        }
        let start = self.decoder.at();
        let key = seed.deserialize(&mut *self.decoder);
        let bytes = &self.decoder.bytes[start..self.decoder.at()];
        let key = key.map_err(|error| error.at(Key::Encoded(bytes).step()))?;
        self.state = State::Value(Key::Encoded(bytes));
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let State::Value(key) = std::mem::replace(&mut self.state, State::Key) else {
            return Err(Error::new("its `Deserialize` reads a value before the key"));
        };
        self.left = self.left.saturating_sub(1);
        seed.deserialize(&mut *self.decoder).map_err(|error| error.at(key.step()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left).filter(|&left| left > 0)
    }
}

/// A variant that was written as such.
struct Enum<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
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
struct Data<'x, 'de> {
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
struct VariantAsEntry<'x, 'de> {
    decoder: &'x mut Decoder<'de>,
    tag: Tag,
    name: &'de str,
    next: Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
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
