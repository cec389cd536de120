//! A ring whose other end writes anything: cursors, lengths, tags.

use std::ptr::NonNull;

use millpond_core::channel::ring::{Consumer, Producer, Ring};

const CAPACITY: usize = 256;

#[repr(C)]
struct Memory {
    cursors: [u64; 2],
    bytes: [u64; CAPACITY / 8],
}

/// Bytes: tail, head, then the buffer.
fn memory(input: &[u8]) -> Box<Memory> {
    let mut words = input.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mut memory = Box::new(Memory { cursors: [0; 2], bytes: [0; CAPACITY / 8] });
    let Memory { cursors, bytes } = &mut *memory;
    for (place, word) in cursors.iter_mut().chain(bytes).zip(&mut words) {
        *place = word;
    }
    memory
}

fn ends(memory: &mut Memory) -> (Producer, Consumer) {
    let [tail, head] = memory.cursors;
    let cursors = memory.cursors.each_mut().map(|word| NonNull::from(word).cast());
    // SAFETY: the memory is as large and aligned as the ring, and outlives the ends, which are the
    // only ones.
    let ring = unsafe { Ring::new(cursors, NonNull::from(&mut memory.bytes).cast(), CAPACITY) };
    (Producer::new(ring, tail, head), Consumer::new(ring, head, head))
}

pub(super) fn run(input: &[u8]) {
    let mut memory = memory(input);
    let (_, mut consumer) = ends(&mut memory);
    let mut sum = 0_u64;
    for _ in 0..64 {
        let Ok(Some(frame)) = consumer.front() else {
            break;
        };
        let claimed = frame.claim();
        sum += frame.body().iter().map(|byte| u64::from(*byte)).sum::<u64>()
            + u64::from(claimed.is_ok());
        frame.release();
    }
    std::hint::black_box(sum);
    // The producer's end, whose consumer moves the head about.
    let mut memory = self::memory(input);
    let (mut producer, _) = ends(&mut memory);
    for length in [0, 1, 24, 56] {
        if let Some(position) = producer.push(length, |body| body.fill(7)) {
            let _ = std::hint::black_box(producer.claimed(position, length));
            producer.revoke(position);
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    for bodies in [&[8_usize][..], &[0, 3, 40], &[56, 56, 56]] {
        let mut memory = memory(&[]);
        let (mut producer, _) = ends(&mut memory);
        for length in bodies {
            let _ = producer.push(*length, |body| body.fill(1));
        }
        let words = memory.cursors.into_iter().chain(memory.bytes);
        seeds.push(words.flat_map(u64::to_le_bytes).collect());
    }
    seeds
}
