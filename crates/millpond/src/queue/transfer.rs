//! Typed values into and out of the engine's queue.

use std::ops::Range;
use std::time::{Duration, Instant};

use millpond_core::channel::payload::Parts;
use millpond_core::channel::queue::{
    GRACE, GetError, INLINE_LIMIT, Outgoing, PutError as NotPut, Queue, Received,
};
use millpond_core::sync::deadline::Turns;
use millpond_core::sync::deadlock::Watch;

use super::error::PutManyError;
use super::message::{Message, decode};
use super::scratch::{SHORT, Scratch, with_buffer};
use super::unread::{self, message_length};
use crate::codec::{self, CodecError};
use crate::deadlock::is_deadlock;
use crate::error::{Cause, Error, Result};
use crate::process;
use crate::ticket::Listing;

/// How often a wait looks for children that have ended while handles of its queue's ends are on their
/// way to some.
const TURN: Duration = Duration::from_millis(100);

/// How long a caller is ready to wait.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// Not at all.
    Not,
    /// As long as this.
    UpTo(Duration),
    /// For ever.
    Ever,
}

impl Wait {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Not => Some(Instant::now()),
            // What is beyond all reckoning never comes.
            Self::UpTo(timeout) => Instant::now().checked_add(timeout),
            Self::Ever => None,
        }
    }

    fn no_room(self) -> Error {
        match self {
            Self::UpTo(after) => Cause::NotInTime { what: "no room was made", after }.into(),
            Self::Not => Cause::Full.into(),
            Self::Ever => Cause::Deadlock(
                "take a value from the full queue: no other living process has it, and this one has \
                 one thread",
            ).into(),
        }
    }

    fn nothing_came(self) -> Error {
        match self {
            Self::UpTo(after) => Cause::NotInTime { what: "nothing came", after }.into(),
            Self::Not => Cause::Empty.into(),
            Self::Ever => Cause::Deadlock(
                "put a value into the empty queue: no other living process has it, and this one has \
                 one thread",
            ).into(),
        }
    }

    fn not_put(self, reason: NotPut) -> Error {
        match reason {
            NotPut::Full | NotPut::Busy => self.no_room(),
            NotPut::Closed => Cause::Disconnected("all receivers are gone").into(),
            NotPut::Corrupt => Cause::Corrupt.into(),
            NotPut::NoMemory(source) => Cause::Io { what: "find room for it", source }.into(),
            other => {
                let source = std::io::Error::other(other.to_string());
                Cause::Io { what: "put it", source }.into()
            }
        }
    }

    fn not_taken(self, reason: GetError) -> Error {
        match reason {
            GetError::Empty | GetError::Busy => self.nothing_came(),
            GetError::Closed => Cause::Disconnected("all senders are gone").into(),
            GetError::Corrupt => Cause::Corrupt.into(),
            GetError::NoMemory(source) => Cause::Io { what: "find room for it", source }.into(),
            other => {
                let source = std::io::Error::other(other.to_string());
                Cause::Io { what: "take it", source }.into()
            }
        }
    }
}

/// What an attempt that has waited until its deadline, or for a signal handler, is told by.
trait Unfinished {
    fn is_over_time(&self) -> bool;
    /// Whether that is because somebody was in the way.
    fn is_busy(&self) -> bool;
    fn is_interrupted(&self) -> bool;
}

impl Unfinished for NotPut {
    fn is_over_time(&self) -> bool {
        matches!(self, Self::Full | Self::Busy)
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}

impl Unfinished for GetError {
    fn is_over_time(&self) -> bool {
        matches!(self, Self::Empty | Self::Busy)
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}

/// Waits in turns, until `deadline`, and looks after each for children that have ended: what was on
/// its way to one that never read it must not keep the other end of a channel waiting. Who is in
/// the way is given [`GRACE`] to leave, should the deadline come sooner. A wait without a deadline that
/// ends without a result is a deadlock.
fn in_turns<T, E: Unfinished>(
    queue: &Queue,
    wait: Wait,
    mut attempt: impl FnMut(Option<Instant>) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let deadline = wait.deadline();
    // Without a look at the clock where there is nothing to wait for.
    let mut turn = deadline.unwrap_or_else(long_ago);
    let (mut grace, mut watch, mut turns) = (None, Watch::default(), Turns::default());
    loop {
        match attempt(Some(turn)) {
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.is_over_time() => {
                let now = Instant::now();
                let end = if error.is_busy() {
                    let grace = *grace.get_or_insert(now + GRACE);
                    deadline.map(|deadline| deadline.max(grace))
                } else {
                    deadline
                };
                if end.is_some_and(|end| end <= now) {
                    return Err(error);
                }
                process::notice_ended();
                unread::settle();
                if deadline.is_none() && is_deadlock(&mut watch, || queue.is_sole_user()) {
                    return Err(error);
                }
                turn = turns.next(end);
                if queue.is_end_travelling() {
                    turn = turn.min(now + TURN);
                }
            }
            done => return done,
        }
    }
}

/// An instant that has passed.
fn long_ago() -> Instant {
    // Of the thread: a lock here could stay locked in a forked child.
    thread_local! {
        static PAST: Instant = Instant::now();
    }
    PAST.try_with(|past| *past).unwrap_or_else(|_| Instant::now())
}

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
            let listing = Listing::begin();
            let written = codec::write(value, &mut scratch);
            if let Some(tickets) = listing.end() {
                return put_with_handles(queue, &mut scratch, written, &tickets, wait);
            }
            written.map_err(Cause::Codec)?;
            put_bytes(queue, 0, scratch.bytes(), wait)
        }
    }
}

/// Puts a message together with the tickets of the handles in it.
#[cold]
fn put_with_handles(
    queue: &Queue,
    scratch: &mut Scratch,
    written: std::result::Result<(), CodecError>,
    tickets: &[u8],
    wait: Wait,
) -> Result<()> {
    if let Err(error) = written {
        unread::recall(tickets);
        return Err(Cause::Codec(error).into());
    }
    scratch.append(tickets);
    queue.will_carry_handles();
    let put = put_bytes(queue, unread::tag(tickets), scratch.bytes(), wait);
    match &put {
        Ok(()) => unread::note(queue),
        Err(_) => unread::recall(tickets),
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
    in_turns(queue, wait, |turn| queue.put(tag, Parts(&[&bytes]), turn)).map_err(|reason| {
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

/// An encoded value, with the tickets behind it.
struct Item {
    range: Range<usize>,
    tag: u32,
}

impl Item {
    fn tickets<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let bytes = &bytes[self.range.clone()];
        &bytes[message_length(self.tag, bytes.len())..]
    }
}

fn recall_all(bytes: &[u8], items: &[Item]) {
    items.iter().for_each(|item| unread::recall(item.tickets(bytes)));
}

impl<T: Message> Encoded<'_, T> {
    fn item(&self, index: usize) -> &[u8] {
        match codec::as_bytes(&self.values[index]) {
            Some(bytes) => bytes,
            None => &self.bytes[self.items[index].range.clone()],
        }
    }
}

impl<T: Message> Outgoing for Encoded<'_, T> {
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
) -> std::result::Result<(), PutManyError> {
    let deadline = wait.deadline();
    with_buffer(|bytes| {
        let mut items = Vec::new();
        if !codec::is_bytes::<T>() {
            items.reserve(values.len());
            for value in values {
                let start = bytes.len();
                let listing = Listing::begin();
                let appended = codec::append_ref(value, bytes);
                let tickets = listing.end().unwrap_or_default();
                if let Err(error) = appended {
                    unread::recall(&tickets);
                    recall_all(bytes, &items);
                    return Err(PutManyError::new(0, Cause::Codec(error).into()));
                }
                bytes.extend_from_slice(&tickets);
                items.push(Item { range: start..bytes.len(), tag: unread::tag(&tickets) });
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
                        result = Err(PutManyError::new(put, wait.not_put(error.reason)));
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
        let received = take(queue, buffer, wait)?;
        decode(message_of(buffer, &received)).map_err(|error| Cause::Codec(error).into())
    })
}

/// A value that is its own bytes.
fn get_bytes<T: Message>(queue: &Queue, wait: Wait) -> Result<T> {
    let mut bytes = Vec::new();
    match take(queue, &mut bytes, wait)?.block {
        Some(block) => decode(block.bytes()),
        None => codec::decode(bytes.into()),
    }
    .map_err(|error| Cause::Codec(error).into())
}

pub(super) fn take(queue: &Queue, buffer: &mut Vec<u8>, wait: Wait) -> Result<Received> {
    in_turns(queue, wait, |turn| queue.get(&mut *buffer, turn))
        .map_err(|reason| wait.not_taken(reason))
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
        in_turns(queue, wait, |turn| queue.get_many(most, &mut *buffer, &mut items, turn))
            .map_err(|reason| wait.not_taken(reason))?;
        let decoded = |item: &Received| {
            decode(message_of(buffer, item)).map_err(|error| Cause::Codec(error).into())
        };
        items.iter().map(decoded).collect()
    })
}

/// What was put, without the tickets behind it.
fn message_of<'a>(buffer: &'a [u8], received: &'a Received) -> &'a [u8] {
    let bytes = bytes_of(buffer, received);
    &bytes[..message_length(received.tag, bytes.len())]
}

pub(super) fn bytes_of<'a>(buffer: &'a [u8], received: &'a Received) -> &'a [u8] {
    match &received.block {
        Some(block) => block.bytes(),
        None => &buffer[received.bytes.clone()],
    }
}
