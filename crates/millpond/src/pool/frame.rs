//! Chunks: several encoded values one behind the other.
//!
//! Before each stands a word with its length and, in the lowest bit, whether it is a failure in
//! place of a value.

const HEADER: usize = size_of::<u64>();

/// A place in a buffer where a frame begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start(usize);

/// Makes room for the header of a frame, whose content is to follow.
pub(super) fn begin(buffer: &mut Vec<u8>) -> Start {
    let start = Start(buffer.len());
    buffer.extend_from_slice(&[0; HEADER]);
    start
}

/// Ends the frame with what has been written since.
pub(super) fn end(buffer: &mut [u8], start: Start, failed: bool) {
    let length = buffer.len() - start.0 - HEADER;
    let word = (length as u64) << 1 | u64::from(failed);
    buffer[start.0..][..HEADER].copy_from_slice(&word.to_le_bytes());
}

/// Takes the frame back, header and all.
pub(super) fn take_back(buffer: &mut Vec<u8>, start: Start) {
    buffer.truncate(start.0);
}

/// The frames of a chunk: whether each is a failure, and its content. It ends early at one that is
/// damaged.
#[derive(Debug)]
pub(super) struct Frames<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_first_chunk::<HEADER>()?;
        let word = u64::from_le_bytes(*header);
        let (content, rest) = rest.split_at_checked(usize::try_from(word >> 1).ok()?)?;
        self.0 = rest;
        Some((word & 1 == 1, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut buffer = Vec::new();
        for (content, failed) in [(&b"one"[..], false), (b"", true), (b"three", false)] {
            let start = begin(&mut buffer);
            buffer.extend_from_slice(content);
            end(&mut buffer, start, failed);
        }
        let start = begin(&mut buffer);
        buffer.extend_from_slice(b"never mind");
        take_back(&mut buffer, start);
        let frames: Vec<_> = Frames(&buffer).collect();
        assert_eq!(frames, [(false, &b"one"[..]), (true, b""), (false, b"three")]);
        assert_eq!(Frames(&buffer[..buffer.len() - 1]).count(), 2, "cut off");
        assert_eq!(Frames(&[0xff; 20]).count(), 0);
    }
}
