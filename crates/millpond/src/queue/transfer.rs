//! Typed values into and out of the engine's queue.

use std::ops::Range;

use millpond_core::channel::payload::{INLINE_LIMIT, Parts};
use millpond_core::channel::queue::{OutgoingItems, PutError as NotPut, Queue, ReceivedItem};

use super::error::SendManyError;
use super::message::decode;
use super::scratch::{SHORT, Scratch, with_buffer};
use super::turns::{Wait, bytes_of, in_turns, take};
use super::unread::{self, message_length};
use crate::codec::{self, CodecError};
use crate::error::{Cause, Result};
use crate::message::Message;
use crate::wire_handle::Listing;

#[inline]
pub(crate) fn put<T: Message>(queue: &Queue, value: &T, wait: Wait) -> Result<()> {
    if matches!(wait, Wait::Not) && queue.is_full() {
        // Before anything is encoded: handles inside of the value would be on their way then.
        return Err(wait.no_room());
    }
    match codec::as_bytes(value) {
        Some(bytes) => put_bytes(queue, 0, bytes, wait),
        None => {
            let mut scratch = Scratch::new();
            let listing = Listing::begin(unread::recall);
            let written = codec::write(value, &mut scratch);
            if let Some(wire_handles) = listing.end() {
                return put_with_handles(queue, &mut scratch, written, &wire_handles, wait);
            }
            written.map_err(Cause::Codec)?;
            put_bytes(queue, 0, scratch.bytes(), wait)
        }
    }
}

/// Puts a message together with the wire handles of the handles in it.
#[cold]
fn put_with_handles(
    queue: &Queue,
    scratch: &mut Scratch,
    written: std::result::Result<(), CodecError>,
    wire_handles: &[u8],
    wait: Wait,
) -> Result<()> {
    if let Err(error) = written {
        unread::recall(wire_handles);
        return Err(Cause::Codec(error).into());
    }
    scratch.append(wire_handles);
    queue.will_carry_handles();
    let put = put_bytes(queue, unread::tag(wire_handles), scratch.bytes(), wait);
    match &put {
        Ok(()) => unread::note(queue),
        Err(_) => unread::recall(wire_handles),
    }
    put
}

#[inline]
fn put_bytes(queue: &Queue, tag: u32, bytes: &[u8], wait: Wait) -> Result<()> {
    if queue.put_at_once(tag, bytes.len(), |out| out.copy_from_slice(bytes)) {
        return Ok(());
    }
    put_slowly(queue, tag, bytes, wait)
}

#[cold]
fn put_slowly(queue: &Queue, tag: u32, bytes: &[u8], wait: Wait) -> Result<()> {
    if bytes.len() > INLINE_LIMIT && matches!(wait, Wait::Ever) {
        queue.await_reuse(bytes.len());
    }
    in_turns(queue, wait, unread::look_around, |turn| queue.put(tag, Parts(&[&bytes]), turn))
        .map_err(|reason| {
            if matches!(reason, NotPut::Closed) {
                unread::settle();
            }
            wait.not_put(reason)
        })
}

/// Encoded values.
struct Encoded<'a, T> {
    values: &'a [T],
    bytes: &'a [u8],
    /// Where each lies in `bytes`; empty for values that are bytes themselves.
    items: &'a [Item],
}

/// An encoded value, with the wire handles behind it.
struct Item {
    range: Range<usize>,
    tag: u32,
}

impl Item {
    fn wire_handles<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let bytes = &bytes[self.range.clone()];
        &bytes[message_length(self.tag, bytes.len())..]
    }
}

fn recall_all(bytes: &[u8], items: &[Item]) {
    items.iter().for_each(|item| unread::recall(item.wire_handles(bytes)));
}

impl<T: Message> Encoded<'_, T> {
    fn item(&self, index: usize) -> &[u8] {
        match codec::as_bytes(&self.values[index]) {
            Some(bytes) => bytes,
            None => &self.bytes[self.items[index].range.clone()],
        }
    }
}

impl<T: Message> OutgoingItems for Encoded<'_, T> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn tag(&self, index: usize) -> u32 {
        self.items.get(index).map_or(0, |item| item.tag)
    }

    fn length(&self, index: usize) -> usize {
        self.item(index).len()
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        out.copy_from_slice(self.item(index));
    }
}

pub(crate) fn put_many<T: Message>(
    queue: &Queue,
    values: &[T],
    wait: Wait,
) -> std::result::Result<(), SendManyError> {
    let deadline = wait.deadline();
    with_buffer(|bytes| {
        let mut items = Vec::new();
        if !codec::is_bytes::<T>() {
            items.reserve(values.len());
            for value in values {
                let start = bytes.len();
                let listing = Listing::begin(unread::recall);
                let appended = codec::append_ref(value, bytes);
                let wire_handles = listing.end().unwrap_or_default();
                if let Err(error) = appended {
                    unread::recall(&wire_handles);
                    recall_all(bytes, &items);
                    return Err(SendManyError::new(0, Cause::Codec(error).into()));
                }
                bytes.extend_from_slice(&wire_handles);
                items.push(Item { range: start..bytes.len(), tag: unread::tag(&wire_handles) });
            }
        }
        let have_handles = items.iter().any(|item| item.tag > 0);
        if have_handles {
            queue.will_carry_handles();
        }
        let mut put = 0;
        let (mut result, mut closed) = (Ok(()), false);
        while put < values.len() {
            let left = Encoded {
                values: &values[put..],
                bytes,
                items: items.get(put..).unwrap_or_default(),
            };
            match queue.put_many(&left, deadline) {
                Ok(()) => break,
                Err(error) => {
                    put += error.put;
                    if !matches!(error.reason, NotPut::Interrupted) {
                        recall_all(bytes, items.get(put..).unwrap_or_default());
                        closed = matches!(error.reason, NotPut::Closed);
                        result = Err(SendManyError::new(put, wait.not_put(error.reason)));
                        break;
                    }
                }
            }
        }
        if have_handles {
            unread::note(queue);
        }
        if closed {
            unread::settle();
        }
        result
    })
}

#[inline]
pub(crate) fn get<T: Message>(queue: &Queue, wait: Wait) -> Result<T> {
    if codec::is_bytes::<T>() {
        return get_bytes(queue, wait);
    }
    let mut short = [0; SHORT];
    let copy = |tag, bytes: &[u8]| {
        short[..bytes.len()].copy_from_slice(bytes);
        message_length(tag, bytes.len())
    };
    match queue.get_at_once(SHORT, copy) {
        Some(length) => decode(&short[..length]).map_err(|error| Cause::Codec(error).into()),
        None => get_slowly(queue, wait),
    }
}

#[cold]
fn get_slowly<T: Message>(queue: &Queue, wait: Wait) -> Result<T> {
    with_buffer(|buffer| {
        let received = take(queue, buffer, wait, unread::look_around)?;
        decode(message_of(buffer, &received)).map_err(|error| Cause::Codec(error).into())
    })
}

/// A value that is its own bytes.
fn get_bytes<T: Message>(queue: &Queue, wait: Wait) -> Result<T> {
    let mut bytes = Vec::new();
    match take(queue, &mut bytes, wait, unread::look_around)?.block {
        Some(block) => decode(block.bytes()),
        None => codec::decode(bytes.into()),
    }
    .map_err(|error| Cause::Codec(error).into())
}

/// Takes a value if there is one.
pub(crate) fn try_get<T: Message>(queue: &Queue) -> Result<Option<T>> {
    match get(queue, Wait::Not) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_empty() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes at least one value and up to `most`.
pub(crate) fn get_many<T: Message>(queue: &Queue, most: usize, wait: Wait) -> Result<Vec<T>> {
    with_buffer(|buffer| {
        let mut items = Vec::new();
        in_turns(queue, wait, unread::look_around, |turn| {
            queue.get_many(most, &mut *buffer, &mut items, turn)
        })
        .map_err(|reason| wait.not_taken(reason))?;
        let decoded = |item: &ReceivedItem| {
            decode(message_of(buffer, item)).map_err(|error| Cause::Codec(error).into())
        };
        items.iter().map(decoded).collect()
    })
}

/// What was put, without the wire handles behind it.
fn message_of<'a>(buffer: &'a [u8], received: &'a ReceivedItem) -> &'a [u8] {
    let bytes = bytes_of(buffer, received);
    &bytes[..message_length(received.tag, bytes.len())]
}
