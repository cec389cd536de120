//! Where a message is between its encoding and the queue.

use std::cell::Cell;

use postcard::ser_flavors::Flavor;

/// Messages of up to so many bytes stay on the stack.
pub(super) const SHORT: usize = 128;
/// Buffers that are larger than this are not kept for the next message.
const KEPT: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that was used before, so that most messages need no allocation. One that is in use, by
/// the message that this one is part of, is missed once.
fn borrow() -> Vec<u8> {
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    buffer
}

fn give_back(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
}

/// Calls `work` with an empty buffer that was used before.
pub(super) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = borrow();
    let result = work(&mut buffer);
    give_back(buffer);
    result
}

/// The bytes of one message, which grow while it is encoded.
pub(super) struct Scratch {
    short: [u8; SHORT],
    length: usize,
    /// All of them, once they are too many for the stack.
    long: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { short: [0; SHORT], length: 0, long: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.length] } else { &self.long }
    }

    /// Adds what is to come behind the message.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.short.get_mut(self.length..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            _ => self.push_long(bytes),
        }
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long = borrow();
            self.long.extend_from_slice(&self.short[..self.length]);
        }
        self.long.extend_from_slice(bytes);
    }
}

/// Has postcard write there.
impl Flavor for &mut Scratch {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.push(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.push(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.long.capacity() > 0 {
            give_back(std::mem::take(&mut self.long));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_in_order_when_there_are_too_many_for_the_stack() {
        for step in [1, 3, SHORT - 1, SHORT, SHORT + 1] {
            let expected: Vec<u8> = (0..=255).cycle().take(3 * SHORT).collect();
            let mut scratch = Scratch::new();
            assert_eq!(scratch.bytes(), []);
            for (n, some) in expected.chunks(step).enumerate() {
                scratch.push(some);
                assert_eq!(scratch.bytes(), &expected[..n * step + some.len()]);
            }
        }
    }
}
