//! Several values on their way into a queue.

use std::ops::Range;

use millpond_core::channel::payload::{INLINE_LIMIT, Parts};
use millpond_core::channel::queue::OutgoingItems;
use pyo3::prelude::*;

use crate::codec::{Codec, Encoded, FAST};
use crate::plain::Encoder;

/// The tag of an item: its format, and how many parts it has.
pub(crate) fn tag(flags: u8, parts: u32) -> u32 {
    u32::from(flags) | parts << 8
}

/// Encoded values: what is small lies side by side.
pub(crate) struct Batch<'py> {
    small: Vec<u8>,
    items: Vec<Item<'py>>,
}

enum Item<'py> {
    Small(Range<usize>),
    Other { encoded: Encoded<'py>, parts: u32, length: usize },
}

impl<'py> Batch<'py> {
    /// Encodes all values of an iterable, or none.
    pub(crate) fn encode(codec: &Codec, values: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut fast = Encoder::default();
        let mut items = Vec::with_capacity(values.len().unwrap_or(0));
        for value in values.try_iter()? {
            let value = value?;
            let before = fast.length();
            let is_small =
                fast.push_another(&value).is_some() && fast.length() - before <= INLINE_LIMIT;
            items.push(if is_small {
                Item::Small(before..fast.length())
            } else {
                fast.truncate(before);
                let encoded = codec.encode(&value)?;
                let (parts, length) = {
                    let parts = encoded.parts();
                    (Parts(&parts).count(), Parts(&parts).encoded_length())
                };
                Item::Other { encoded, parts, length }
            });
        }
        Ok(Self { small: fast.finish().0, items })
    }

    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }
}

/// The items of a batch that were not put yet.
pub(crate) struct Rest<'a, 'py> {
    pub(crate) batch: &'a Batch<'py>,
    pub(crate) from: usize,
}

impl<'py> Rest<'_, 'py> {
    fn item(&self, index: usize) -> &Item<'py> {
        &self.batch.items[self.from + index]
    }
}

impl OutgoingItems for Rest<'_, '_> {
    fn count(&self) -> usize {
        self.batch.count() - self.from
    }

    fn tag(&self, index: usize) -> u32 {
        match self.item(index) {
            Item::Small(_) => tag(FAST, 1),
            Item::Other { encoded, parts, .. } => tag(encoded.flags, *parts),
        }
    }

    fn length(&self, index: usize) -> usize {
        match self.item(index) {
            Item::Small(range) => range.len(),
            Item::Other { length, .. } => *length,
        }
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        match self.item(index) {
            Item::Small(range) => out.copy_from_slice(&self.batch.small[range.clone()]),
            Item::Other { encoded, .. } => Parts(&encoded.parts()).encode(out),
        }
    }
}
