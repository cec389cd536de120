//! Values as described bytes.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::digest;
use super::error::{Error, Step};
use super::token::{DEPTH_LIMIT, Tag, put_number, zigzag};

/// Writes a value behind what is there.
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    names: Names,
    depth: u32,
}

/// The names that were written last, and their numbers. One that fell out is written again, under
/// another number.
struct Names {
    recent: [Option<(&'static str, u32)>; Self::RECENT],
    count: u32,
}

impl Names {
    const RECENT: usize = 32;

    /// Its number, if it is still known; if not, it has one from now on.
    fn number(&mut self, name: &'static str) -> Option<u32> {
        // Names are constants of the program: few, and each mostly at one address.
        let place = (name.as_ptr() as usize ^ name.len()) % Self::RECENT;
        match self.recent[place] {
            Some((known, number)) if std::ptr::eq(known, name) => Some(number),
            _ => {
                self.recent[place] = Some((name, self.count));
                self.count += 1;
                None
            }
        }
    }
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let names = Names { recent: [None; Names::RECENT], count: 0 };
        Self { out, names, depth: 0 }
    }

    fn tag(&mut self, tag: Tag) {
        self.out.push(tag as u8);
    }

    fn number(&mut self, number: impl Into<u128>) {
        put_number(number.into(), self.out);
    }

    fn unsigned(&mut self, tag: Tag, number: impl Into<u128>) {
        self.tag(tag);
        self.number(number);
    }

    fn signed(&mut self, tag: Tag, number: impl Into<i128>) {
        self.unsigned(tag, zigzag(number.into()));
    }

    fn counted(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn name(&mut self, name: &'static str) {
        match self.names.number(name) {
            Some(number) => self.number(number + 2),
            None => {
                self.number(1_u8);
                self.counted(name.as_bytes());
            }
        }
    }

    fn variant(&mut self, tag: Tag, of: &'static str, index: u32, name: &'static str) {
        self.tag(tag);
        self.name(of);
        self.name(name);
        self.number(index);
    }

    fn value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.enter()?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT { Err(Error::too_deep(DEPTH_LIMIT)) } else { Ok(()) }
    }

    fn parts<'x>(&'x mut self) -> Parts<'x, 'a> {
        Parts { encoder: self, index: 0, key: 0 }
    }
}

macro_rules! numbers {
    ($($method:ident($number:ty) $writer:ident $tag:ident),*) => {$(
        fn $method(self, value: $number) -> Result<(), Error> {
            self.$writer(Tag::$tag, value);
            Ok(())
        }
    )*};
}

impl<'x, 'a> Serializer for &'x mut Encoder<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'x, 'a>;
    type SerializeTuple = Parts<'x, 'a>;
    type SerializeTupleStruct = Parts<'x, 'a>;
    type SerializeTupleVariant = Parts<'x, 'a>;
    type SerializeMap = Parts<'x, 'a>;
    type SerializeStruct = Parts<'x, 'a>;
    type SerializeStructVariant = Parts<'x, 'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.tag(if value { Tag::True } else { Tag::False });
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.out.extend([Tag::U8 as u8, value]);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.out.extend([Tag::I8 as u8, value.cast_unsigned()]);
        Ok(())
    }

    numbers! {
        serialize_u16(u16) unsigned U16, serialize_u32(u32) unsigned U32,
        serialize_u64(u64) unsigned U64, serialize_u128(u128) unsigned U128,
        serialize_i16(i16) signed I16, serialize_i32(i32) signed I32,
        serialize_i64(i64) signed I64, serialize_i128(i128) signed I128,
        serialize_char(char) unsigned Char
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.tag(Tag::F32);
        self.out.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.tag(Tag::F64);
        self.out.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.tag(Tag::Str);
        self.counted(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.tag(Tag::Bytes);
        self.counted(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.tag(Tag::None);
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        self.tag(Tag::Some);
        self.value(value)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.tag(Tag::Unit);
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.tag(Tag::UnitStruct);
        self.name(name);
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.tag(Tag::NewtypeStruct);
        self.name(name);
        self.value(value)
    }

    fn serialize_unit_variant(
        self,
        of: &'static str,
        index: u32,
        name: &'static str,
    ) -> Result<(), Error> {
        self.variant(Tag::UnitVariant, of, index, name);
        Ok(())
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        of: &'static str,
        index: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(Tag::NewtypeVariant, of, index, name);
        self.value(value).map_err(|error| error.in_name(name))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Parts<'x, 'a>, Error> {
        self.unsigned(Tag::Seq, length.unwrap_or(0) as u64);
        Ok(self.parts())
    }

    fn serialize_tuple(self, length: usize) -> Result<Parts<'x, 'a>, Error> {
        self.unsigned(Tag::Tuple, length as u64);
        Ok(self.parts())
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Parts<'x, 'a>, Error> {
        self.tag(Tag::TupleStruct);
        self.name(name);
        Ok(self.parts())
    }

    fn serialize_tuple_variant(
        self,
        of: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'x, 'a>, Error> {
        self.variant(Tag::TupleVariant, of, index, name);
        Ok(self.parts())
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Parts<'x, 'a>, Error> {
        self.unsigned(Tag::Map, length.unwrap_or(0) as u64);
        Ok(self.parts())
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'x, 'a>, Error> {
        self.tag(Tag::Struct);
        self.name(name);
        Ok(self.parts())
    }

    fn serialize_struct_variant(
        self,
        of: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'x, 'a>, Error> {
        self.variant(Tag::StructVariant, of, index, name);
        Ok(self.parts())
    }

    /// serde's own types read what it keeps for untagged enums as people would, whatever the format
    /// says. So this one says the same.
    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The parts of a value, one after the other.
pub(super) struct Parts<'x, 'a> {
    encoder: &'x mut Encoder<'a>,
    /// How many were written.
    index: usize,
    /// Where the last key begins.
    key: usize,
}

impl Parts<'_, '_> {
    fn item<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let written = self.encoder.value(value);
        written.map_err(|error| error.at(Step::Index(self.index)))?;
        self.index += 1;
        Ok(())
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.encoder.name(name);
        self.encoder.value(value).map_err(|error| error.in_name(name))
    }

    fn end_of_items(self) {
        self.encoder.tag(Tag::End);
    }

    fn end_of_fields(self) {
        self.encoder.number(0_u8);
    }
}

macro_rules! items {
    ($($kind:ident $method:ident),*) => {$(
        impl $kind for Parts<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.end_of_items();
                Ok(())
            }
        }
    )*};
}

items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
}

impl SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.key = self.encoder.out.len();
        self.encoder.value(key).map_err(|error| error.at(Step::Index(self.index)))
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let before = self.encoder.out.len();
        self.encoder.value(value).map_err(|error| {
            let key = digest::key_as_text(&self.encoder.out[self.key..before]);
            error.at(key.map_or(Step::Index(self.index), Step::Key))
        })?;
        self.index += 1;
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.end_of_items();
        Ok(())
    }
}

macro_rules! fields {
    ($($kind:ident)*) => {$(
        impl $kind for Parts<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.end_of_fields();
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct SerializeStructVariant);
