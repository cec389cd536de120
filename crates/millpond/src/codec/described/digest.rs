//! Whether two described values are the same, and where they are not.

use std::hash::{DefaultHasher, Hasher};

use super::error::{Error, Step};
use super::token::{Reader, Tag, Variant};

/// A part of a value with a digest of all that is in it. The items of a list have no order in it,
/// nor have the entries of a map: those of sets come out as they like.
struct Part {
    digest: u64,
    /// Of what the part itself is.
    label: u64,
    /// Empty unless they are asked for.
    parts: Vec<(Step, Part)>,
}

/// Whether two encodings are of the same value.
pub(in crate::codec) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let digest = |bytes| read(&mut Reader::new(bytes), false).ok().map(|part| part.digest);
    one == other || digest(one).is_some_and(|of_one| digest(other) == Some(of_one))
}

/// An error at the place of the first difference.
pub(in crate::codec) fn difference(one: &[u8], other: &[u8], message: &str) -> Error {
    let read = |bytes| read(&mut Reader::new(bytes), true);
    let (mut one, mut other) = match (read(one), read(other)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    let mut path = Vec::new();
    while one.label == other.label && one.parts.len() == other.parts.len() {
        let pairs = one.parts.into_iter().zip(other.parts);
        let differing = pairs.into_iter().find(|((_, a), (_, b))| a.digest != b.digest);
        let Some(((step, a), (other_step, b))) = differing else { break };
        if step != other_step {
            break;
        }
        path.push(step);
        (one, other) = (a, b);
    }
    path.into_iter().rev().fold(Error::new(message), Error::at)
}

/// The key of a map as people write it, if it is a plain one.
pub(super) fn key_as_text(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let text = match reader.tag().ok()? {
        Tag::Str => format!("{:?}", reader.str().ok()?),
        Tag::Char => format!("{:?}", reader.char().ok()?),
        Tag::U8 => reader.array::<1>().ok()?[0].to_string(),
        Tag::I8 => reader.array::<1>().ok()?[0].cast_signed().to_string(),
        Tag::U16 | Tag::U32 | Tag::U64 | Tag::U128 => reader.number().ok()?.to_string(),
        Tag::I16 | Tag::I32 | Tag::I64 | Tag::I128 => reader.signed::<i128>().ok()?.to_string(),
        _ => return None,
    };
    Some(text)
}

/// Reads a part, and keeps those in it if they are asked for.
fn read(reader: &mut Reader<'_>, keep: bool) -> Result<Part, Error> {
    reader.enter()?;
    let tag = reader.tag()?;
    let mut label = DefaultHasher::new();
    label.write_u8(tag as u8);
    let mut parts = Parts { keep, kept: Vec::new(), digest: DefaultHasher::new() };
    match tag {
        Tag::End => return Err(Error::damaged()),
        Tag::Unit | Tag::None | Tag::False | Tag::True => {}
        Tag::U8 | Tag::I8 => label.write(reader.bytes(1)?),
        Tag::F32 => label.write(reader.bytes(4)?),
        Tag::F64 => label.write(reader.bytes(8)?),
        Tag::U16 | Tag::U32 | Tag::U64 | Tag::U128 | Tag::Char => {
            label.write_u128(reader.number()?)
        }
        Tag::I16 | Tag::I32 | Tag::I64 | Tag::I128 => label.write_u128(reader.number()?),
        Tag::Str | Tag::Bytes => label.write(reader.counted_bytes()?),
        Tag::UnitStruct => name(reader.name()?, &mut label),
        Tag::Some => parts.take(reader, None)?,
        Tag::NewtypeStruct => {
            name(reader.name()?, &mut label);
            parts.take(reader, None)?;
        }
        Tag::UnitVariant => variant(reader.variant()?, &mut label),
        Tag::NewtypeVariant => {
            let of = reader.variant()?;
            variant(of, &mut label);
            parts.take(reader, Some(Step::Name(of.name.to_owned())))?;
        }
        Tag::Seq => {
            reader.number()?;
            parts.take_unordered(reader)?;
        }
        Tag::Map => {
            reader.number()?;
            parts.take_entries(reader)?;
        }
        Tag::Tuple => {
            reader.number()?;
            parts.take_items(reader)?;
        }
        Tag::TupleStruct => {
            name(reader.name()?, &mut label);
            parts.take_items(reader)?;
        }
        Tag::TupleVariant => {
            variant(reader.variant()?, &mut label);
            parts.take_items(reader)?;
        }
        Tag::Struct => {
            name(reader.name()?, &mut label);
            parts.take_fields(reader)?;
        }
        Tag::StructVariant => {
            variant(reader.variant()?, &mut label);
            parts.take_fields(reader)?;
        }
    }
    reader.leave();
    let label = label.finish();
    parts.digest.write_u64(label);
    Ok(Part { digest: parts.digest.finish(), label, parts: parts.kept })
}

fn name(name: &str, into: &mut DefaultHasher) {
    into.write_usize(name.len());
    into.write(name.as_bytes());
}

fn variant(variant: Variant<'_>, into: &mut DefaultHasher) {
    name(variant.of, into);
    name(variant.name, into);
    into.write_u32(variant.index);
}

/// The parts of a part.
struct Parts {
    keep: bool,
    kept: Vec<(Step, Part)>,
    digest: DefaultHasher,
}

impl Parts {
    /// Takes the next part, which lies a step away if it does at all.
    fn take(&mut self, reader: &mut Reader<'_>, step: Option<Step>) -> Result<(), Error> {
        let part = read(reader, self.keep)?;
        self.digest.write_u64(part.digest);
        if !self.keep {
            return Ok(());
        }
        match step {
            Some(step) => self.kept.push((step, part)),
            // What a wrapper holds is part of the same place.
            None => self.kept = part.parts,
        }
        Ok(())
    }

    fn take_items(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let mut index = 0;
        while reader.peek()? != Tag::End {
            self.take(reader, Some(Step::Index(index)))?;
            index += 1;
        }
        self.digest.write_usize(index);
        reader.skip_tag();
        Ok(())
    }

    fn take_fields(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        while let Some(field) = reader.name_if_any()? {
            name(field, &mut self.digest);
            self.take(reader, Some(Step::Name(field.to_owned())))?;
        }
        Ok(())
    }

    fn take_unordered(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let (mut sum, mut count) = (0_u64, 0);
        while reader.peek()? != Tag::End {
            let part = read(reader, self.keep)?;
            sum = sum.wrapping_add(part.digest);
            if self.keep {
                self.kept.push((Step::Index(count), part));
            }
            count += 1;
        }
        reader.skip_tag();
        self.digest.write_usize(count);
        self.digest.write_u64(sum);
        Ok(())
    }

    fn take_entries(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let (mut sum, mut count) = (0_u64, 0_usize);
        while reader.peek()? != Tag::End {
            let mut entry = DefaultHasher::new();
            let bytes = reader.rest();
            let key = read(reader, false)?;
            let text = if self.keep { key_as_text(bytes) } else { None };
            let value = read(reader, self.keep)?;
            entry.write_u64(key.digest);
            entry.write_u64(value.digest);
            sum = sum.wrapping_add(entry.finish());
            if self.keep {
                let text = text.unwrap_or_else(|| "..".to_owned());
                self.kept.push((Step::Key(text), value));
            }
            count += 1;
        }
        reader.skip_tag();
        self.kept.sort_by_key(|(step, _)| step.to_string());
        self.digest.write_usize(count);
        self.digest.write_u64(sum);
        Ok(())
    }
}
