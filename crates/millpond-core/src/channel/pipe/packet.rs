//! What one packet of a pipe's socket holds.
//!
//! ```text
//! 0     1       2          4               8
//! │ tag │ kind  │ note, 0  │ parts         │ payload                        tag = INLINE
//! │ tag │ kind  │ note, 0  │ parts         │ length (8)  │ padding          tag = BLOCK
//! │ tag │ side  │ 0        │ number        │                                tag = NOTIFICATION
//! │ tag │ side  │ 0        │ number        │ one of the first two           tag = NUMBERED
//! ```
//!
//! Numbers are little-endian. *Kind* belongs to the binding that sends; *parts* is how many the
//! payload has, one at least; *note* is 1 if the last of those is the note of a [bundle], else 0.
//! The padding of a block's packet has no meaning but its size: it makes the kernel count a large
//! message as such. Notifications and numbered packets come from ends that have rings beside the
//! socket; *side* is which of the two ends that is. See README.md.
//!
//! [bundle]: crate::channel::attachments

/// Bytes before the payload of a small message.
pub const HEADER: usize = 8;
/// Bytes of a packet that names a block, without its padding.
pub(crate) const REFERENCE: usize = 16;

/// Where a packet says that it has a note.
const NOTE_AT: usize = 2;

const INLINE: u8 = 0xa1;
const BLOCK: u8 = 0xa2;
const NOTIFICATION: u8 = 0xa3;
const NUMBERED: u8 = 0xa4;

/// Bytes of a notification, and of what stands before a packet that has a number.
pub(crate) const PREFIX: usize = 8;

/// What a packet begins with that is not a message by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Whether nothing follows.
    pub(crate) is_notification: bool,
    /// Which end of the pipe sent it, 0 or 1.
    pub(crate) side: u8,
    /// Its number among the notifications and numbered packets of that end.
    pub(crate) number: u32,
}

impl Prefix {
    /// Whether it comes after the one of this number. Numbers wrap.
    #[must_use]
    pub(crate) fn is_after(self, number: u32) -> bool {
        self.number != number && self.number.wrapping_sub(number) <= u32::MAX / 2
    }

    /// The prefix as it is sent.
    #[must_use]
    pub(crate) fn encode(self) -> [u8; PREFIX] {
        header(if self.is_notification { NOTIFICATION } else { NUMBERED }, self.side, self.number)
    }

    /// The prefix that a packet begins with, if it begins with one.
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let [tag, side @ 0..=1, 0, 0, number @ ..] = *packet.first_chunk::<PREFIX>()? else {
            return None;
        };
        let is_notification = match tag {
            NOTIFICATION if packet.len() == PREFIX => true,
            NUMBERED => false,
            _ => return None,
        };
        Some(Self { is_notification, side, number: u32::from_le_bytes(number) })
    }
}

/// A packet, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The binding's mark.
    pub(crate) kind: u8,
    /// Whether the last part is a note.
    pub(crate) has_note: bool,
    /// How many parts the payload has.
    pub parts: u32,
    /// The payload.
    pub body: Body<'a>,
}

/// Where a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// In the packet.
    Inline(&'a [u8]),
    /// In the block whose descriptor came with the packet: this number of bytes.
    Block(u64),
}

/// The packet was not made by a pipe of this engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet was not sent by a millpond pipe")]
pub struct Damaged;

/// The first bytes of a packet with a small message of `parts` parts.
#[must_use]
pub fn inline_header(kind: u8, parts: u32) -> [u8; HEADER] {
    header(INLINE, kind, parts)
}

/// The first bytes of a packet that names a block with `length` bytes of payload.
#[must_use]
pub fn reference(kind: u8, parts: u32, length: u64) -> [u8; REFERENCE] {
    let mut bytes = [0; REFERENCE];
    bytes[..HEADER].copy_from_slice(&header(BLOCK, kind, parts));
    bytes[HEADER..].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Says in a packet of either kind that its last part is a note.
pub(super) fn add_note(packet: &mut [u8]) {
    packet[NOTE_AT] = 1;
}

fn header(tag: u8, kind: u8, parts: u32) -> [u8; HEADER] {
    let [a, b, c, d] = parts.to_le_bytes();
    [tag, kind, 0, 0, a, b, c, d]
}

/// Takes a packet apart, however it came about.
///
/// # Errors
/// When no pipe could have sent it.
pub fn parse(packet: &[u8]) -> Result<Packet<'_>, Damaged> {
    let (header, rest) = packet.split_first_chunk::<HEADER>().ok_or(Damaged)?;
    let [tag, kind, note @ 0..=1, 0, parts @ ..] = *header else { return Err(Damaged) };
    let body = match tag {
        INLINE => Body::Inline(rest),
        BLOCK => Body::Block(u64::from_le_bytes(*rest.first_chunk().ok_or(Damaged)?)),
        _ => return Err(Damaged),
    };
    let parts = u32::from_le_bytes(parts);
    if parts == 0 { Err(Damaged) } else { Ok(Packet { kind, has_note: note == 1, parts, body }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let notification = Prefix { is_notification: true, side: 1, number: 7 };
        assert_eq!(Prefix::read(&notification.encode()), Some(notification));
        assert_eq!(Prefix::read(b"a message"), None);
        let packet = [&inline_header(7, 1)[..], b"hello"].concat();
        let parsed = parse(&packet).expect("a pipe sends such packets");
        assert_eq!((parsed.kind, parsed.parts, parsed.body), (7, 1, Body::Inline(b"hello")));
        assert!(parse(b"hello").is_err());
    }

    #[test]
    fn a_reference_is_understood_with_and_without_padding() {
        let body = Body::Block(1 << 40);
        let mut expected = Packet { kind: 3, has_note: false, parts: 2, body };
        let mut packet = reference(3, 2, 1 << 40);
        assert_eq!(parse(&packet), Ok(expected));
        add_note(&mut packet);
        expected.has_note = true;
        assert_eq!(parse(&packet), Ok(expected));
        assert_eq!(parse(&[&packet[..], &[0; 1000]].concat()), Ok(expected));
    }

    #[test]
    fn what_no_pipe_sent_is_refused() {
        assert_eq!(parse(b""), Err(Damaged));
        assert_eq!(parse(&reference(0, 1, 5)[..15]), Err(Damaged));
        assert_eq!(parse(&[0; 16]), Err(Damaged));
        assert_eq!(parse(&inline_header(0, 0)), Err(Damaged));
        let mut odd = inline_header(0, 1);
        odd[2] = 2;
        assert_eq!(parse(&odd), Err(Damaged));
        odd[2..4].copy_from_slice(&[0, 1]);
        assert_eq!(parse(&odd), Err(Damaged));
    }
}
