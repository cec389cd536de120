//! A ring whose other end writes anything: cursors, lengths, tags.

use std::ptr::NonNull;

use millpond_core::channel::ring::{Consumer, Cursors, Producer};

const CAPACITY: usize = 256;

/// `Cursors` are two lines of 128 bytes, with one word each at the start.
#[repr(C, align(128))]
struct Memory {
    lines: [[u64; 16]; 2],
    bytes: [u64; CAPACITY / 8],
}

/// Bytes: tail, head, then the buffer.
fn memory(input: &[u8]) -> Box<Memory> {
    let mut words = input.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mut memory = Box::new(Memory { lines: [[0; 16]; 2], bytes: [0; CAPACITY / 8] });
    memory.lines[0][0] = words.next().unwrap_or(0);
    memory.lines[1][0] = words.next().unwrap_or(0);
    for (place, word) in memory.bytes.iter_mut().zip(words) {
        *place = word;
    }
    memory
}

fn ends(memory: &mut Memory) -> (Producer, Consumer) {
    const { assert!(size_of::<Cursors>() == 256 && align_of::<Cursors>() <= 128) };
    let start = std::ptr::from_mut(memory);
    // SAFETY: the memory is as large and aligned as both say, and outlives the ends, which are the
    // only ones.
    unsafe {
        let cursors = NonNull::new_unchecked((&raw mut (*start).lines).cast::<Cursors>());
        let bytes = NonNull::new_unchecked((&raw mut (*start).bytes).cast::<u8>());
        (Producer::new(cursors, bytes, CAPACITY), Consumer::new(cursors, bytes, CAPACITY))
    }
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
        let words = [memory.lines[0][0], memory.lines[1][0]];
        let words = words.into_iter().chain(memory.bytes);
        seeds.push(words.flat_map(u64::to_le_bytes).collect());
    }
    seeds
}
