//! Decoders that are private otherwise, for `millpond-fuzz`.

use crate::channel::attachments;
use crate::pool::zygote::message;

/// Whether the bytes are a message of a pool to its zygote, and whether they are one of a zygote to
/// its pool.
#[must_use]
pub fn zygote_messages(bytes: &[u8]) -> (bool, bool) {
    message::decodes(bytes)
}

/// How many shared objects and other descriptors a message with this note and no bundle owns; `None` if
/// it is no note.
#[must_use]
pub fn note(bytes: &[u8]) -> Option<(usize, usize)> {
    attachments::open(bytes, |_| None).map(|opened| (opened.objects.len(), opened.others.len()))
}
