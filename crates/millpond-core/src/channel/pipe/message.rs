//! `Message`, a message as it was received: its kind and its payload.

use crate::pool::payload::Payload;

/// A message as it was received.
#[derive(Debug)]
pub enum Message<'a> {
    /// A small one, in the buffer that it was received into.
    Inline {
        /// The mark that the sender gave it.
        kind: u8,
        /// How many parts the payload has.
        parts: u32,
        /// The payload.
        bytes: &'a [u8],
    },
    /// A large one, in shared memory, or one with handles.
    Lent {
        /// The mark that the sender gave it.
        kind: u8,
        /// The payload, which is lent until it is dropped.
        payload: Payload,
    },
}

impl Message<'_> {
    /// The mark that the sender gave it.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Inline { kind, .. } | Self::Lent { kind, .. } => *kind,
        }
    }

    /// The payload, independent of the buffer. `None` if its bytes are damaged.
    #[must_use]
    pub fn into_payload(self) -> Option<Payload> {
        match self {
            Self::Inline { parts, bytes, .. } => Payload::from_bytes(bytes.to_vec(), parts),
            Self::Lent { payload, .. } => Some(payload),
        }
    }
}
