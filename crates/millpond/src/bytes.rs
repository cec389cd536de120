//! A byte buffer that travels as bytes.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// Bytes that are copied as a whole on their way to another process.
///
/// serde takes a `Vec<u8>` for a list of numbers and encodes it one by one. Where a `Vec<u8>` is
/// the whole argument or the whole result, millpond knows better and copies it as it is; inside of
/// a tuple, a struct or an `Option`, use this type.
///
/// ```
/// use millpond::Bytes;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Frame {
///     number: u64,
///     pixels: Bytes,
/// }
///
/// let frame = Frame { number: 1, pixels: vec![0; 1920 * 1080].into() };
/// assert_eq!(frame.pixels.len(), 1920 * 1080);
/// let pixels: Vec<u8> = frame.pixels.into();
/// # assert_eq!(frame.number, 1);
/// # assert_eq!(pixels[0], 0);
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(#[serde(with = "serde_bytes")] Vec<u8>);

impl Bytes {
    /// Bytes that are the content of `buffer`; nothing is copied.
    #[must_use]
    pub const fn new(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }

    /// The buffer; nothing is copied.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl Deref for Bytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    /// The first bytes and how many there are, rather than megabytes of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "Bytes(b\"{}\"", self.0[..self.0.len().min(SHOWN)].escape_ascii())?;
        if self.0.len() > SHOWN {
            write!(f, "… {} bytes", self.0.len())?;
        }
        f.write_str(")")
    }
}
