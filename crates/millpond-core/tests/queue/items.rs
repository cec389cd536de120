//! Numbered items of several kinds, put and taken in batches.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_core::channel::queue::{GetError, Options, OutgoingItems, Queue, ReceivedItem};
use millpond_core::os::map::Mapping;
use millpond_core::os::memfd;

use crate::support::{far, now, until};

/// What the items of a test are like.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A few bytes each.
    Small,
    /// A segment holds two of them.
    Fat,
    /// Each in a block of its own.
    Large,
    /// All of these, several at once.
    Many,
}

impl Kind {
    /// How many are put, or taken, at once.
    pub(crate) fn batch(self) -> u64 {
        if matches!(self, Self::Many) { 9 } else { 1 }
    }

    fn length(self, number: u64) -> usize {
        match self {
            Self::Small => 24,
            Self::Fat => 30_000,
            Self::Large => 100_000,
            Self::Many => [24, 30_000, 100_000][(number % 3) as usize],
        }
    }
}

/// Items with these numbers.
struct Numbered(Kind, std::ops::Range<u64>);

impl OutgoingItems for Numbered {
    fn count(&self) -> usize {
        (self.1.end - self.1.start) as usize
    }

    fn tag(&self, index: usize) -> u32 {
        (self.1.start + index as u64) as u32
    }

    fn length(&self, index: usize) -> usize {
        self.0.length(self.1.start + index as u64)
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        out.fill((self.1.start + index as u64) as u8);
    }
}

pub(crate) fn queue(options: Options) -> Queue {
    Queue::create(options).expect("a queue")
}

/// Puts one batch, from this number on.
pub(crate) fn put_batch(queue: &Queue, kind: Kind, from: u64) {
    queue.put_many(&Numbered(kind, from..from + kind.batch()), far()).expect("room");
}

/// Takes up to one batch; the numbers, and the blocks that are still held.
pub(crate) fn take_batch(queue: &Queue, kind: Kind) -> (Vec<u64>, Vec<ReceivedItem>) {
    let (mut buffer, mut items) = (Vec::new(), Vec::new());
    let most = kind.batch() as usize;
    queue.get_many(most, &mut buffer, &mut items, far()).expect("items");
    let numbers = items.iter().map(|item| checked(kind, &buffer, item)).collect();
    (numbers, items)
}

/// The number of an item that is whole.
fn checked(kind: Kind, buffer: &[u8], item: &ReceivedItem) -> u64 {
    let bytes = item.block.as_ref().map(|block| block.bytes());
    let bytes = bytes.unwrap_or_else(|| &buffer[item.bytes.clone()]);
    let number = u64::from(item.tag);
    assert!(bytes.len() == kind.length(number) && bytes.iter().all(|b| *b == number as u8));
    number
}

/// The numbers of all items that are left.
pub(crate) fn take_all(queue: &Queue, kind: Kind) -> Vec<u64> {
    let (mut buffer, mut numbers) = (Vec::new(), Vec::new());
    loop {
        match queue.get(&mut buffer, now()) {
            Ok(item) => numbers.push(checked(kind, &buffer, &item)),
            Err(GetError::Empty) => return numbers,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until nothing of an empty queue's memory is in use but the segment that goes on. A waiter
/// finds what the dead have left.
pub(crate) fn memory_comes_back(queue: &Queue) {
    until(|| {
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(60);
        assert!(matches!(queue.get(&mut Vec::new(), Some(soon)), Err(GetError::Empty)));
        queue.blocks_in_use() <= 1
    });
}

/// A number that forked children share.
pub(crate) struct Counter(Mapping);

impl Counter {
    pub(crate) fn new() -> Self {
        let memory = memfd::create("millpond-test", 4096).expect("memory");
        Self(Mapping::new(memory.as_fd(), 0, 4096).expect("mapping"))
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: page-aligned, mapped as long as `self`, and an atomic for everybody.
        unsafe { self.0.start().cast::<AtomicU64>().as_ref() }
    }

    pub(crate) fn add(&self, n: u64) {
        self.word().fetch_add(n, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.word().load(Ordering::SeqCst)
    }
}
