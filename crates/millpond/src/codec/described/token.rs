//! What a described value is made of: a tag before each part of it, then what the tag announces.

use super::error::Error;

/// What a part is. Each of serde's types has its own, so that values which differ in serde's terms
/// differ as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// Ends a [`Seq`](Self::Seq) or what is like one, and a [`Map`](Self::Map).
    End,
    Unit,
    None,
    /// A value follows.
    Some,
    False,
    True,
    // Numbers of one byte and floats follow as they are, others with a variable length.
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    /// Length and bytes follow.
    Str,
    Bytes,
    /// Its name follows.
    UnitStruct,
    /// Its name and a value follow.
    NewtypeStruct,
    /// The names of the enum and the variant and its index follow, as with all variants.
    UnitVariant,
    NewtypeVariant,
    /// The expected length or zero, then values follow.
    Seq,
    Tuple,
    TupleStruct,
    TupleVariant,
    /// The expected length or zero, then keys and values follow.
    Map,
    /// Its name follows, then names and values, and a [name](Reader::name) that is none.
    Struct,
    StructVariant,
}

impl Tag {
    const ALL: [Self; 32] = [
        Self::End,
        Self::Unit,
        Self::None,
        Self::Some,
        Self::False,
        Self::True,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::U128,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::I128,
        Self::F32,
        Self::F64,
        Self::Char,
        Self::Str,
        Self::Bytes,
        Self::UnitStruct,
        Self::NewtypeStruct,
        Self::UnitVariant,
        Self::NewtypeVariant,
        Self::Seq,
        Self::Tuple,
        Self::TupleStruct,
        Self::TupleVariant,
        Self::Map,
        Self::Struct,
        Self::StructVariant,
    ];

    /// What it is in the words of an error.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::End => "the end",
            Self::Unit => "a unit",
            Self::None => "nothing",
            Self::Some => "an optional value",
            Self::False | Self::True => "a boolean",
            Self::U8 | Self::U16 | Self::U32 | Self::U64 | Self::U128 => "an unsigned integer",
            Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::I128 => "a signed integer",
            Self::F32 | Self::F64 => "a floating point number",
            Self::Char => "a character",
            Self::Str => "a string",
            Self::Bytes => "bytes",
            Self::UnitStruct => "a unit struct",
            Self::NewtypeStruct => "a newtype struct",
            Self::UnitVariant => "a unit variant",
            Self::NewtypeVariant => "a newtype variant",
            Self::Seq => "a sequence",
            Self::Tuple => "a tuple",
            Self::TupleStruct => "a tuple struct",
            Self::TupleVariant => "a tuple variant",
            Self::Map => "a map",
            Self::Struct => "a struct",
            Self::StructVariant => "a struct variant",
        }
    }
}

/// How deep parts lie in each other at most, so that damaged bytes cannot exhaust the stack.
pub(super) const DEPTH_LIMIT: u32 = 512;

/// As many names as most values have at most.
const USUAL_NAMES: usize = 16;

/// Adds a number of variable length: seven bits a byte, the lowest first, as postcard's.
#[inline]
pub(super) fn put_number(number: u128, out: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(short @ ..0x80) => out.push(short),
        _ => put_long_number(number, out),
    }
}

fn put_long_number(mut number: u128, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A signed number as one that is small where its magnitude is.
pub(super) fn zigzag(number: i128) -> u128 {
    ((number << 1) ^ (number >> 127)).cast_unsigned()
}

fn unzigzag(number: u128) -> i128 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Takes described values apart.
pub(super) struct Reader<'de> {
    left: &'de [u8],
    /// Those that were met, by their numbers.
    names: Vec<&'de str>,
    depth: u32,
}

/// The names of an enum and of its variant, and the variant's index.
#[derive(Clone, Copy)]
pub(super) struct Variant<'de> {
    pub(super) of: &'de str,
    pub(super) name: &'de str,
    pub(super) index: u32,
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { left: bytes, names: Vec::new(), depth: 0 }
    }

    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    pub(super) fn rest(&self) -> &'de [u8] {
        self.left
    }

    pub(super) fn peek(&self) -> Result<Tag, Error> {
        let byte = self.left.first().ok_or_else(Error::ends_early)?;
        Tag::ALL.get(usize::from(*byte)).copied().ok_or_else(Error::damaged)
    }

    /// Takes a tag that [`peek`](Self::peek) has shown.
    pub(super) fn skip_tag(&mut self) {
        self.left = &self.left[1..];
    }

    pub(super) fn tag(&mut self) -> Result<Tag, Error> {
        let tag = self.peek()?;
        self.skip_tag();
        Ok(tag)
    }

    /// Goes one part deeper, until [`leave`](Self::leave).
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT { Err(Error::too_deep(DEPTH_LIMIT)) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let (bytes, left) = self.left.split_at_checked(count).ok_or_else(Error::ends_early)?;
        self.left = left;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, left) = self.left.split_first_chunk().ok_or_else(Error::ends_early)?;
        self.left = left;
        Ok(*array)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u128, Error> {
        match self.left {
            [short @ ..0x80, left @ ..] => {
                self.left = left;
                Ok(u128::from(*short))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u128, Error> {
        let mut number = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let [byte] = self.array()?;
            let bits = u128::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                break;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::damaged())
    }

    pub(super) fn unsigned<T: TryFrom<u128>>(&mut self) -> Result<T, Error> {
        T::try_from(self.number()?).map_err(|_| Error::damaged())
    }

    pub(super) fn signed<T: TryFrom<i128>>(&mut self) -> Result<T, Error> {
        T::try_from(unzigzag(self.number()?)).map_err(|_| Error::damaged())
    }

    pub(super) fn char(&mut self) -> Result<char, Error> {
        char::from_u32(self.unsigned()?).ok_or_else(Error::damaged)
    }

    /// The bytes behind their length.
    pub(super) fn counted_bytes(&mut self) -> Result<&'de [u8], Error> {
        let length = self.unsigned()?;
        self.bytes(length)
    }

    #[inline]
    pub(super) fn str(&mut self) -> Result<&'de str, Error> {
        std::str::from_utf8(self.counted_bytes()?).map_err(|_| Error::damaged())
    }

    /// A name, or `None` where there are no more: it is spelled where it is met first, and has a
    /// number from then on.
    #[inline]
    pub(super) fn name_if_any(&mut self) -> Result<Option<&'de str>, Error> {
        match self.unsigned::<usize>()? {
            0 => Ok(None),
            1 => {
                let name = self.str()?;
                if self.names.is_empty() {
                    self.names.reserve(USUAL_NAMES);
                }
                self.names.push(name);
                Ok(Some(name))
            }
            number => Ok(Some(self.names.get(number - 2).ok_or_else(Error::damaged)?)),
        }
    }

    pub(super) fn name(&mut self) -> Result<&'de str, Error> {
        self.name_if_any()?.ok_or_else(Error::damaged)
    }

    pub(super) fn variant(&mut self) -> Result<Variant<'de>, Error> {
        Ok(Variant { of: self.name()?, name: self.name()?, index: self.unsigned()? })
    }

    /// How many parts to expect, for a caller that makes room for them.
    pub(super) fn expected(&mut self) -> Result<usize, Error> {
        let expected: usize = self.unsigned()?;
        // Each takes a byte at least.
        Ok(expected.min(self.left()))
    }

    /// Skips a whole value.
    pub(super) fn skip_value(&mut self) -> Result<(), Error> {
        self.enter()?;
        match self.tag()? {
            Tag::End => return Err(Error::damaged()),
            Tag::Unit | Tag::None | Tag::False | Tag::True => {}
            Tag::Some => self.skip_value()?,
            Tag::U8 | Tag::I8 => drop(self.bytes(1)?),
            Tag::F32 => drop(self.bytes(4)?),
            Tag::F64 => drop(self.bytes(8)?),
            Tag::U16 | Tag::U32 | Tag::U64 | Tag::U128 | Tag::Char => drop(self.number()?),
            Tag::I16 | Tag::I32 | Tag::I64 | Tag::I128 => drop(self.number()?),
            Tag::Str | Tag::Bytes => drop(self.counted_bytes()?),
            Tag::UnitStruct => drop(self.name()?),
            Tag::NewtypeStruct => {
                self.name()?;
                self.skip_value()?;
            }
            Tag::UnitVariant => drop(self.variant()?),
            Tag::NewtypeVariant => {
                self.variant()?;
                self.skip_value()?;
            }
            Tag::Seq | Tag::Tuple | Tag::Map => {
                self.number()?;
                self.skip_to_end()?;
            }
            Tag::TupleStruct => {
                self.name()?;
                self.skip_to_end()?;
            }
            Tag::TupleVariant => {
                self.variant()?;
                self.skip_to_end()?;
            }
            Tag::Struct => {
                self.name()?;
                self.skip_fields()?;
            }
            Tag::StructVariant => {
                self.variant()?;
                self.skip_fields()?;
            }
        }
        self.leave();
        Ok(())
    }

    fn skip_to_end(&mut self) -> Result<(), Error> {
        while self.peek()? != Tag::End {
            self.skip_value()?;
        }
        self.skip_tag();
        Ok(())
    }

    fn skip_fields(&mut self) -> Result<(), Error> {
        while self.name_if_any()?.is_some() {
            self.skip_value()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for shift in 0..128 {
            for number in [(1_u128 << shift) - 1, 1 << shift, u128::MAX >> shift, !(1 << shift)] {
                let mut out = Vec::new();
                put_number(number, &mut out);
                let mut reader = Reader::new(&out);
                assert_eq!((reader.number().ok(), reader.left()), (Some(number), 0));
                assert_eq!(unzigzag(zigzag(number.cast_signed())), number.cast_signed());
            }
        }
        assert_eq!(zigzag(-1), 1);
        let mut too_large = vec![0xff; 18];
        too_large.push(4);
        assert!(Reader::new(&too_large).number().is_err());
        assert!(Reader::new(&[0xff; 30]).number().is_err());
        assert!(Reader::new(&[0xff; 3]).number().is_err());
    }

    #[test]
    fn each_tag_is_its_place_in_the_list() {
        for (place, tag) in Tag::ALL.into_iter().enumerate() {
            assert_eq!(tag as usize, place);
            assert_eq!(Reader::new(&[tag as u8]).peek().ok(), Some(tag));
        }
        assert!(Reader::new(&[Tag::ALL.len() as u8]).peek().is_err());
    }
}
