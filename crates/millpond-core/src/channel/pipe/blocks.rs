//! The sender's blocks: a cache of at most 32 memfds (64 MiB) for large messages, which are filled
//! again once their receivers have marked them FREE.
//!
//! A block is a memfd of its own, laid out like a block of a heap. A block that leaves the cache
//! while it is in use is left to the kernel: its memory lives as long as a process maps it or its
//! descriptor is in flight. So nothing has to be reclaimed from the dead.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::os::fork::Owner;
use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::heap::{BLOCK_HEADER, FREE, LENT, class_of, is_free, state};
use crate::sync::local::Local;

/// The most blocks that a sender keeps, and the most bytes of memory they may have. A pipe carries
/// no more than that at a time, so in a steady stream every block comes back in time.
pub(super) const MAX_BLOCKS: usize = 32;
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// A block that this process fills.
#[derive(Debug)]
pub(super) struct Block {
    fd: OwnedFd,
    map: Mapping,
    /// Bytes that have pages, from the start.
    warm: u64,
    owner: Owner,
}

/// The blocks of one end, in the order in which they were lent.
#[derive(Debug, Default)]
pub(super) struct Blocks(Local<Vec<Block>>);

impl Blocks {
    /// A free block for a payload of `length` bytes, whose pages exist.
    pub(super) fn take(&self, length: usize) -> io::Result<Block> {
        let class = class_of(length).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut block = match self.0.with(|blocks| take_free(blocks, class)) {
            Some(block) => block,
            None => Block::new(class)?,
        };
        block.reserve((length + BLOCK_HEADER) as u64)?;
        Ok(block)
    }

    /// Keeps a block that was sent, or was not needed after all, to be used again.
    pub(super) fn keep(&self, block: Block) {
        let dropped = self.0.with(|blocks| {
            blocks.push(block);
            let mut dropped = Vec::new();
            while blocks.len() > MAX_BLOCKS || resident(blocks) > MAX_BYTES {
                // A free one has no use for a receiver. Of the lent ones, the first is the least
                // likely to come back.
                let index = blocks.iter_mut().position(Block::is_free).unwrap_or(0);
                dropped.push(blocks.remove(index));
            }
            dropped
        });
        // Unmapping takes a while: not under the lock.
        drop(dropped);
    }
}

fn resident(blocks: &[Block]) -> u64 {
    blocks.iter().map(|b| b.warm).sum()
}

fn take_free(blocks: &mut Vec<Block>, class: usize) -> Option<Block> {
    if blocks.first().is_some_and(|b| !b.owner.is_current()) {
        // A forked child: they are its parent's.
        blocks.clear();
    }
    // The one that was used last is warm in the caches too.
    let index = blocks.iter_mut().rposition(|b| b.map.length() == class && b.is_free())?;
    Some(blocks.remove(index))
}

impl Block {
    fn new(size: usize) -> io::Result<Self> {
        let fd = memfd::create("millpond-message", size as u64)?;
        let map = Mapping::new(fd.as_fd(), 0, size)?;
        Ok(Self { fd, map, warm: 0, owner: Owner::current() })
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        if self.warm < length {
            memfd::reserve(self.fd.as_fd(), 0, length)?;
            self.warm = length;
        }
        Ok(())
    }

    fn is_free(&mut self) -> bool {
        // In a forked child the block is its parent's.
        self.owner.is_current() && is_free(&self.map, &mut self.warm)
    }

    /// Room for a payload of `length` bytes, which was asked for when the block was taken.
    pub(super) fn payload(&mut self, length: usize) -> &mut [u8] {
        debug_assert!((length + BLOCK_HEADER) as u64 <= self.warm);
        // SAFETY: the block is free, so no receiver reads it; it was taken out of the list, so no
        // other thread writes it; header and payload lie within the mapping.
        unsafe {
            std::slice::from_raw_parts_mut(self.map.start().as_ptr().add(BLOCK_HEADER), length)
        }
    }

    /// From now on the block is a receiver's, until it marks it free.
    pub(super) fn lend(&self) {
        // Relaxed: the packet that names the block publishes it.
        state(&self.map).store(LENT, Ordering::Relaxed);
    }

    /// The block was not sent after all.
    pub(super) fn unlend(&self) {
        // Relaxed: only this thread knows of it.
        state(&self.map).store(FREE, Ordering::Relaxed);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Forked children may have the descriptor open for long; the memory need not wait for
        // them. What is lent is left to the receiver.
        if self.is_free() {
            let _ = memfd::discard(self.fd.as_fd(), 0, self.map.length() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(blocks: &Blocks, length: usize) {
        let mut block = blocks.take(length).expect("memory");
        block.payload(length).fill(1);
        block.lend();
        blocks.keep(block);
    }

    #[test]
    fn a_free_block_is_used_again() {
        let blocks = Blocks::default();
        let block = blocks.take(100_000).expect("memory");
        blocks.keep(block);
        let again = blocks.take(90_000).expect("memory");
        assert!(again.warm >= 100_000);
    }

    #[test]
    fn blocks_that_do_not_come_back_are_forgotten_in_the_end() {
        let blocks = Blocks::default();
        (0..100).for_each(|_| lent(&blocks, 3 << 20));
        assert!(blocks.0.with(|blocks| resident(blocks)) <= MAX_BYTES);
        (0..100).for_each(|_| lent(&blocks, 100));
        assert_eq!(blocks.0.with(|blocks| blocks.len()), MAX_BLOCKS);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let blocks = Blocks::default();
        assert!(blocks.take(usize::MAX - 100).is_err());
        assert!(blocks.take(1 << 60).is_err());
    }
}
