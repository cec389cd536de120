//! Processes that die at any moment.

use super::*;
use crate::channel::queue::OutgoingItems;
use crate::channel::queue::heap::WARM_BYTES;
use crate::sync::testing::{Child, sleep_for_ever, until};

#[test]
fn what_the_dead_held_comes_back() {
    let queue = queue();
    (0..30).for_each(|n| put(&queue, 0, &pattern(1 << 20, n)));
    let child = Child::run(|| {
        let mut items = Vec::new();
        let n = queue.get_many(30, &mut Vec::new(), &mut items, far()).expect("items");
        assert_eq!(n, 30);
        sleep_for_ever();
    });
    until(|| queue.is_empty());
    child.kill();
    // Filled anew: what was warm is used again.
    assert!(queue.memory.sweep_the_dead());
    let before = queue.memory().expect("stat");
    (0..30).for_each(|n| put(&queue, 0, &pattern(1 << 20, n)));
    assert!(queue.memory().expect("stat") <= before);
    (0..30).for_each(|n| assert!(get(&queue).1 == pattern(1 << 20, n)));
}

/// Sequence numbers of one producer: `process | number`, one in ten large.
struct Sequence {
    process: u64,
    range: std::ops::Range<u64>,
}

impl OutgoingItems for Sequence {
    fn count(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    fn tag(&self, _: usize) -> u32 {
        0
    }

    fn length(&self, index: usize) -> usize {
        match (self.range.start + index as u64) % 10 {
            0 => 80_000,
            1 => 20_000,
            _ => 16,
        }
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        out[..8].copy_from_slice(&self.process.to_le_bytes());
        let number = self.range.start + index as u64;
        out[8..16].copy_from_slice(&number.to_le_bytes());
    }
}

/// Producers are killed at random moments. Each producer's items arrive in order and without gaps:
/// nothing committed is lost or doubled, nothing else is seen.
#[test]
fn random_deaths_of_producers_lose_nothing() {
    let queue = queue();
    let mut expected = std::collections::HashMap::new();
    let mut check = |bytes: &[u8]| {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a word"));
        let next = expected.entry(word(0)).or_insert(0);
        assert_eq!(word(8), *next, "of producer {}", word(0));
        *next += 1;
    };
    for process in 0..60 {
        let child = Child::run(|| {
            let mut at = 0;
            loop {
                let n = 1 + at % 7;
                queue.put_many(&Sequence { process, range: at..at + n }, far()).expect("put");
                at += n;
            }
        });
        let n = 50 + (process * 37) % 400;
        (0..n).for_each(|_| check(&get(&queue).1));
        child.kill();
        drop(child);
        while let Ok((_, bytes)) = try_get(&queue) {
            check(&bytes);
        }
    }
    queue.memory.sweep_the_dead();
    let memory = queue.memory().expect("stat");
    assert!(memory < WARM_BYTES + (8 << 20), "{memory} bytes are left");
}

/// Consumers are killed at random moments: each takes a run of the sequence, and the survivors go
/// on right behind it.
#[test]
fn random_deaths_of_consumers_stop_nobody() {
    let (queue, seen) = (queue(), queue());
    let mut put_until = 0;
    for _ in 0..60 {
        let range = put_until..put_until + 300;
        put_until = range.end;
        queue.put_many(&Sequence { process: 0, range }, far()).expect("put");
        let child = Child::run(|| {
            loop {
                let bytes = get(&queue).1;
                put(&seen, 0, &bytes[8..16]);
            }
        });
        get(&seen);
        child.kill();
    }
    let mut last = None;
    while let Ok((_, bytes)) = try_get(&queue) {
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("a word"));
        assert!(last.is_none_or(|last| number == last + 1), "{last:?}, then {number}");
        last = Some(number);
    }
    assert!(last.is_none_or(|last| last + 1 == put_until));
    queue.memory.sweep_the_dead();
    let memory = queue.memory().expect("stat");
    assert!(memory < WARM_BYTES + (8 << 20), "{memory} bytes are left");
}
