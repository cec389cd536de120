//! Numbers in shared bytes, in the types and layout of C.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::shm::bytes::Bytes;

/// How a number is laid out: its width and what its bits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are Rust's types of these names")]
pub enum NumberKind {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// A number of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "they are what their names say")]
pub enum Scalar {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl NumberKind {
    /// Its width in bytes.
    #[must_use]
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Whether it is one of floating point.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// What these bits mean.
    fn meaning(self, bits: u64) -> Scalar {
        // The bits above the number's own are cut off first, then its sign is extended.
        match self {
            Self::I8 => Scalar::Signed((bits as i8).into()),
            Self::I16 => Scalar::Signed((bits as i16).into()),
            Self::I32 => Scalar::Signed((bits as i32).into()),
            Self::I64 => Scalar::Signed(bits as i64),
            Self::U8 => Scalar::Unsigned((bits as u8).into()),
            Self::U16 => Scalar::Unsigned((bits as u16).into()),
            Self::U32 => Scalar::Unsigned((bits as u32).into()),
            Self::U64 => Scalar::Unsigned(bits),
            Self::F32 => Scalar::Float(f32::from_bits(bits as u32).into()),
            Self::F64 => Scalar::Float(f64::from_bits(bits)),
        }
    }

    /// The bits of a number of this kind. Integers wrap around, floats are rounded; what has a
    /// fraction loses it when it becomes an integer.
    fn bits(self, scalar: Scalar) -> u64 {
        let float = |value: f64| {
            if self == Self::F32 { (value as f32).to_bits().into() } else { value.to_bits() }
        };
        match (scalar, self.is_float()) {
            (Scalar::Signed(value), false) => value as u64,
            (Scalar::Unsigned(value), false) => value,
            (Scalar::Float(value), false) => value as i64 as u64,
            (Scalar::Signed(value), true) => float(value as f64),
            (Scalar::Unsigned(value), true) => float(value as f64),
            (Scalar::Float(value), true) => float(value),
        }
    }
}

/// Numbers of one kind, side by side in shared bytes.
///
/// Each read and each write of one number is whole, but for anything longer the users need a lock.
#[derive(Clone, Debug)]
pub struct Numbers {
    bytes: Arc<Bytes>,
    kind: NumberKind,
}

impl Numbers {
    /// The numbers of this kind that these bytes have room for.
    #[must_use]
    pub fn new(bytes: Arc<Bytes>, kind: NumberKind) -> Self {
        Self { bytes, kind }
    }

    /// Their kind.
    #[must_use]
    pub fn kind(&self) -> NumberKind {
        self.kind
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn length(&self) -> usize {
        self.bytes.length() / self.kind.size()
    }

    /// The number at an index; `None` if there is none.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<Scalar> {
        Some(self.kind.meaning(self.load(self.checked(index)?)))
    }

    /// Changes the number at an index, converted to its kind as C does; `None` if there is none.
    #[inline]
    pub fn set(&self, index: usize, value: Scalar) -> Option<()> {
        self.store(self.checked(index)?, self.kind.bits(value));
        Some(())
    }

    /// Adds to the number at an index and returns the sum; `None` if there is no such number.
    ///
    /// Integers wrap around. The caller holds the lock that guards the number: this is a read and
    /// a write, and a process that dies between them has changed nothing.
    #[inline]
    pub fn add(&self, index: usize, value: Scalar) -> Option<Scalar> {
        let offset = self.checked(index)?;
        let before = self.load(offset);
        let sum = match (self.kind.meaning(before), self.kind.meaning(self.kind.bits(value))) {
            // In the precision of the kind, as adding to a C variable of it would.
            (Scalar::Float(left), Scalar::Float(right)) => {
                self.kind.bits(Scalar::Float(left + right))
            }
            // Two's complement: the low bits of a sum depend on the low bits alone.
            _ => before.wrapping_add(self.kind.bits(value)),
        };
        self.store(offset, sum);
        Some(self.kind.meaning(sum))
    }

    #[inline]
    fn checked(&self, index: usize) -> Option<usize> {
        (index < self.length()).then(|| index * self.kind.size())
    }

    /// Relaxed, here and below: the lock that guards the numbers orders them; without one, each
    /// stands for itself.
    #[inline]
    fn load(&self, offset: usize) -> u64 {
        match self.kind.size() {
            1 => self.cell::<AtomicU8>(offset).load(Ordering::Relaxed).into(),
            2 => self.cell::<AtomicU16>(offset).load(Ordering::Relaxed).into(),
            4 => self.cell::<AtomicU32>(offset).load(Ordering::Relaxed).into(),
            _ => self.cell::<AtomicU64>(offset).load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn store(&self, offset: usize, bits: u64) {
        match self.kind.size() {
            1 => self.cell::<AtomicU8>(offset).store(bits as u8, Ordering::Relaxed),
            2 => self.cell::<AtomicU16>(offset).store(bits as u16, Ordering::Relaxed),
            4 => self.cell::<AtomicU32>(offset).store(bits as u32, Ordering::Relaxed),
            _ => self.cell::<AtomicU64>(offset).store(bits, Ordering::Relaxed),
        }
    }

    /// The atomic at an offset that [`checked`](Self::checked) gave, as wide as a number.
    #[inline]
    fn cell<A>(&self, offset: usize) -> &A {
        debug_assert!(size_of::<A>() == self.kind.size());
        // SAFETY: the offset is a multiple of the size and a number lies there whole, by `checked`;
        // the bytes are aligned to 64 and mapped as long as `self`; `A` is an atomic, for which any
        // bits are valid and through which alone the engine accesses them.
        unsafe { self.bytes.start().add(offset).cast::<A>().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Scalar::{Float, Signed, Unsigned};

    fn numbers(kind: NumberKind) -> Numbers {
        Numbers::new(Arc::new(Bytes::new(3 * kind.size()).expect("memory")), kind)
    }

    #[test]
    fn integers_wrap_around() {
        for (kind, start, sum) in [
            (NumberKind::I8, Signed(127), Signed(-128)),
            (NumberKind::U8, Unsigned(255), Unsigned(0)),
            (NumberKind::I16, Signed(i16::MAX.into()), Signed(i16::MIN.into())),
            (NumberKind::U16, Unsigned(u16::MAX.into()), Unsigned(0)),
            (NumberKind::I32, Signed(i32::MAX.into()), Signed(i32::MIN.into())),
            (NumberKind::U32, Unsigned(u32::MAX.into()), Unsigned(0)),
            (NumberKind::I64, Signed(i64::MAX), Signed(i64::MIN)),
            (NumberKind::U64, Unsigned(u64::MAX), Unsigned(0)),
        ] {
            let numbers = numbers(kind);
            assert_eq!(numbers.set(1, start), Some(()));
            assert_eq!(numbers.get(1), Some(start));
            assert_eq!(numbers.add(1, Signed(1)), Some(sum), "{kind:?}");
            assert_eq!(numbers.add(1, Signed(-1)), Some(start), "{kind:?}");
            assert_eq!((numbers.get(0), numbers.get(2)), (numbers.get(2), numbers.get(0)));
            assert!(matches!(numbers.get(0), Some(Signed(0) | Unsigned(0))));
        }
    }

    #[test]
    fn floats_have_the_precision_of_their_kind() {
        let single = numbers(NumberKind::F32);
        assert_eq!(single.add(0, Float(0.1)), Some(Float(f64::from(0.1_f32))));
        let double = numbers(NumberKind::F64);
        assert_eq!(double.add(0, Float(0.1)), Some(Float(0.1)));
        assert_eq!(double.add(0, Signed(2)), Some(Float(2.1)));
    }

    #[test]
    fn an_index_beyond_the_end_is_none() {
        let numbers = numbers(NumberKind::I64);
        assert_eq!(numbers.length(), 3);
        assert_eq!(numbers.get(3), None);
        assert_eq!(numbers.set(usize::MAX, Signed(1)), None);
        assert_eq!(numbers.add(3, Signed(1)), None);
    }
}
