//! A queue over whose memory another process writes.
//!
//! Bytes: records of ten, an area, a place in it, and the word that is written there.

use std::hint::black_box;
use std::time::Instant;

use millpond_core::channel::payload::Parts;
use millpond_core::channel::queue::{Options, Queue};

/// The beginnings of the control page, the unit map and the heap, and how much of them is in use.
const AREAS: [(u64, u64); 3] = [(64, 1024), (8 << 10, 1024), (64 << 20, 4 << 16)];

pub(super) fn run(input: &[u8]) {
    let queue =
        Queue::create(Options { tasks: true, ..Options::default() }).expect("memory for a queue");
    for n in 0..40_usize {
        let item = vec![n as u8; if n % 20 == 0 { 100_000 } else { n * 10 }];
        let _ = queue.put(0, Parts(&[&&item[..]]), Some(Instant::now()));
    }
    let mut buffer = Vec::new();
    (0..10).for_each(|_| drop(queue.try_get(&mut buffer)));
    for record in input.chunks_exact(10) {
        let (start, length) = AREAS[usize::from(record[0] % 3)];
        let place = u64::from(record[1]) * length / 256 / 8 * 8;
        queue.scribble(start + place, &record[2..]);
    }
    queue.free_guards();
    for _ in 0..60 {
        if let Ok(received) = queue.try_get(&mut buffer) {
            let block = received.block.as_ref().map(|block| block.bytes());
            let bytes = block.unwrap_or_else(|| &buffer[received.bytes.clone()]);
            black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        let _ = queue.task_done(Some(Instant::now()));
    }
    black_box((queue.len(), queue.unfinished(), queue.is_full()));
    for item in [&b"small"[..], &[1; 100_000]] {
        let _ = queue.put(0, Parts(&[&item]), Some(Instant::now()));
    }
    let _ = queue.try_get(&mut buffer);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let record =
        |area: u8, place: u8, word: u64| [&[area, place][..], &word.to_le_bytes()].concat();
    vec![
        Vec::new(),
        [record(0, 16, 80), record(0, 17, 1 << 32)].concat(),
        [record(1, 0, 3), record(1, 4, 1 << 8 | 2), record(2, 0, 64)].concat(),
    ]
}
