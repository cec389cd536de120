//! Messages that no receiver will read, and the handles in them.
//!
//! A handle in a message keeps its object alive until the receiver has opened it. If the receivers
//! of a channel go and leave messages behind, that never happens: the memory would stay with its
//! sender, and if the handle is an end of another channel, a process that waits at the other end
//! would wait for ever. So a message with handles ends with their wire handles once more, as many
//! as its tag says: a process that empties the channel does not know the type of its values, and
//! finds them there.
//!
//! A channel whose receivers are gone is emptied by
//!
//! - the last receiver, when it is dropped;
//! - each process that has sent handles through it, when it looks: while it waits for any channel,
//!   when it drops a sender, and when a value comes back because the receivers are gone. It keeps
//!   the channel in a list for that, until all of it was read.
//!
//! Two processes that empty it take turns, as any consumers do. Still lost are the handles of a
//! message whose taker dies before it opened them. A [`Queue`](crate::Queue) does not count its
//! handles, so its messages may be read as long as any process has it.

use millpond_core::channel::queue::{End, Queue as Engine};
use millpond_core::shm::slab::Slot;
use millpond_core::shm::wire_handle::{LENGTH, WireHandle};

use super::turns::{Wait, bytes_of, take};
use crate::process;

/// How many bytes a message with this tag has without the wire handles behind it.
#[inline]
pub(super) fn message_length(tag: u32, length: usize) -> usize {
    length.saturating_sub(tag as usize * LENGTH)
}

/// The tag of a message with these wire handles.
pub(super) fn tag(wire_handles: &[u8]) -> u32 {
    u32::try_from(wire_handles.len() / LENGTH).unwrap_or(u32::MAX)
}

/// Undoes what encoding a message has done that will not be read: handles inside of it count as
/// being on their way, which keeps what they lead to.
#[cold]
pub(crate) fn recall(wire_handles: &[u8]) {
    for wire_handle in wire_handles.chunks_exact(LENGTH) {
        // One that leads nowhere keeps nothing.
        if let Ok((kind, slot)) = WireHandle::open_any(wire_handle) {
            recall_of_kind(kind, slot);
        }
    }
}

/// A handle that was sent will not arrive.
pub(crate) fn recall_end(engine: &Engine, end: End) {
    if engine.recall_end(end) && end == End::Consumers {
        discard(engine);
    }
}

/// Recalls the handle that a wire handle of this kind was for, if it is that of an end.
pub(crate) fn recall_of_kind(found: u32, slot: Slot) {
    let end = [End::Producers, End::Consumers].into_iter().find(|&end| found == kind(end));
    if let Some(end) = end
        && let Ok(engine) = Engine::in_slot(slot)
    {
        recall_end(&engine, end);
    }
}

/// What tells the ends from each other and from queues in a wire handle: the high byte, the others
/// being those of queues.
pub(crate) fn kind(end: End) -> u32 {
    match end {
        End::Producers => u32::from_le_bytes(*b"ques"),
        End::Consumers => u32::from_le_bytes(*b"quer"),
    }
}

/// Empties a channel that has no receivers any more.
pub(crate) fn discard(channel: &Engine) {
    let mut buffer = Vec::new();
    while channel.carries_handles() {
        let Ok(received) = take(channel, &mut buffer, Wait::Not, look_around) else { return };
        let bytes = bytes_of(&buffer, &received);
        recall(&bytes[message_length(received.tag, bytes.len())..]);
    }
}

/// A message with handles was put. If it is a channel, this process will see to them.
#[cold]
pub(super) fn note(queue: &Engine) {
    if queue.has_ends() {
        process::with_unread(|channels| {
            // Those that were read are done with.
            channels.retain(|channel| channel.carries_handles());
            if !channels.iter().any(|channel| channel.identity() == queue.identity()) {
                channels.push(queue.clone());
            }
        });
    }
}

/// Looks whether channels that this process has sent handles through have lost their receivers.
pub(crate) fn settle() {
    // Emptying one may wait, and may lead here again.
    let channels = process::with_unread(std::mem::take);
    if channels.is_empty() {
        return;
    }
    let left = channels.into_iter().filter(|channel| {
        if channel.carries_handles() && channel.is_deserted(End::Consumers) {
            discard(channel);
        }
        channel.carries_handles()
    });
    let left: Vec<_> = left.collect();
    process::with_unread(|channels| channels.extend(left));
}

/// What a wait for a queue or channel does after each turn: what was on its way to a child that has
/// ended, or to receivers that are gone, must not keep the other end of a channel waiting.
pub(super) fn look_around() {
    process::notice_ended();
    settle();
}
