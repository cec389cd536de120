//! A message that is being sent: inline in a frame, or in a block.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::blocks::{Block, Blocks, MAX_BLOCKS, MAX_BYTES};
use super::packet::{HEADER, REFERENCE, add_note, inline_header, reference};
use crate::channel::attachments::Attachments;
use crate::crash::crash_point;
use crate::pool::payload::{INLINE_LIMIT, Parts};

/// The longest packet with a message in it.
pub const LARGEST_PACKET: usize = HEADER + INLINE_LIMIT;

/// A message that is ready to be sent by the end that prepared it. If it is dropped unsent, nothing
/// was sent.
#[derive(Debug)]
pub struct OutgoingMessage<'a> {
    /// The packet, without padding.
    pub(super) packet: Vec<u8>,
    pub(super) padding: usize,
    block: Option<Block>,
    /// What its handles lead to.
    bundle: Option<OwnedFd>,
    home: &'a Blocks,
    sent: bool,
}

impl<'a> OutgoingMessage<'a> {
    /// Gathers a message; `buffer_size` is that of the socket.
    pub(super) fn new(
        home: &'a Blocks,
        buffer_size: usize,
        kind: u8,
        parts: Parts<'_>,
    ) -> io::Result<Self> {
        let length = parts.encoded_length();
        if length <= INLINE_LIMIT {
            let mut packet = vec![0; HEADER + length];
            packet[..HEADER].copy_from_slice(&inline_header(kind, parts.count()));
            parts.encode(&mut packet[HEADER..]);
            return Ok(Self { packet, padding: 0, block: None, bundle: None, home, sent: false });
        }
        let mut block = home.take(length)?;
        crash_point!("pipe: block is taken");
        parts.encode(block.payload(length));
        crash_point!("pipe: block is filled");
        block.lend();
        let packet = reference(kind, parts.count(), length as u64).to_vec();
        let padding = padding(buffer_size, length);
        Ok(Self { packet, padding, block: Some(block), bundle: None, home, sent: false })
    }

    /// The same, with what the handles in it lead to.
    pub(super) fn with(
        home: &'a Blocks,
        buffer_size: usize,
        kind: u8,
        parts: Parts<'_>,
        attachments: &Attachments,
    ) -> io::Result<Self> {
        let bundle = attachments.pack()?;
        let note = attachments.note(0);
        let mut parts = parts.0.to_vec();
        parts.push(&note);
        let mut message = Self::new(home, buffer_size, kind, Parts(&parts))?;
        add_note(&mut message.packet);
        message.bundle = Some(bundle);
        Ok(message)
    }

    /// A message of one part that is in its packet already, behind room for the header.
    pub(super) fn in_packet(home: &'a Blocks, kind: u8, mut packet: Vec<u8>) -> Self {
        assert!((HEADER..=LARGEST_PACKET).contains(&packet.len()), "{} bytes", packet.len());
        packet[..HEADER].copy_from_slice(&inline_header(kind, 1));
        Self { packet, padding: 0, block: None, bundle: None, home, sent: false }
    }

    /// The descriptors that go with the packet: of the block, then of the bundle.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let block = self.block.as_ref().map(Block::fd);
        block.into_iter().chain(self.bundle.as_ref().map(AsFd::as_fd))
    }

    pub(super) fn has_fds(&self) -> bool {
        self.block.is_some() || self.bundle.is_some()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent
    }

    pub(super) fn was_sent(&mut self) {
        self.sent = true;
    }
}

impl Drop for OutgoingMessage<'_> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            if !self.sent {
                block.unlend();
            }
            self.home.keep(block);
        }
    }
}

/// How much to send beside a reference, so that the kernel counts a block of `length` bytes as that
/// share of the socket's buffer which it has of [`MAX_BYTES`], and no block as less than a
/// [`MAX_BLOCKS`]th.
fn padding(buffer_size: usize, length: usize) -> usize {
    let share = buffer_size as u128 * length as u128 / u128::from(MAX_BYTES);
    // The kernel refuses packets that are longer than its buffer, of which it needs a little.
    let longest = buffer_size.saturating_sub(1024);
    let wanted = usize::try_from(share).unwrap_or(longest).max(buffer_size / MAX_BLOCKS);
    wanted.min(longest).saturating_sub(REFERENCE)
}

#[cfg(test)]
mod tests {
    use super::padding;

    #[test]
    fn padding_grows_with_the_message_and_fits_the_buffer() {
        assert_eq!(padding(320_000, 40_000), 10_000 - 16);
        assert_eq!(padding(1 << 20, 32 << 20), (1 << 19) - 16);
        assert_eq!(padding(1 << 20, 1 << 40), (1 << 20) - 1024 - 16);
        assert_eq!(padding(0, 1 << 40), 0);
    }
}
