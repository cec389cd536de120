//! A pipe over whose rings another process writes, and into whose socket it sends.
//!
//! Bytes: records of ten, an area, a place in it, and the word that is written there.

use std::hint::black_box;
use std::time::Instant;

use millpond_core::channel::payload::Parts;
use millpond_core::channel::pipe::{End, Message};

/// What both sides write of each direction, and the beginnings of its ring, and how much is in use.
const AREAS: [(usize, usize); 4] = [(128, 512), (4096, 4096), (640, 512), (135_168, 4096)];

fn send(end: &End, length: usize) {
    let bytes = vec![length as u8; length];
    if let Ok(mut message) = end.prepare(0, Parts(&[&&bytes[..]])) {
        let _ = black_box(end.send(&mut message, Some(Instant::now())));
    }
}

fn receive(end: &End, buffer: &mut [u8]) {
    match end.try_receive(buffer) {
        Ok(Some(Message::Inline { bytes, .. })) => {
            black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        other => drop(black_box(other)),
    }
    black_box(end.is_readable());
}

pub(super) fn run(input: &[u8]) {
    let (left, right) = End::pair().expect("memory for a pipe");
    let Some((rings, _)) = left.rings() else { return };
    let mut buffer = End::buffer();
    for n in 0..20 {
        send(&left, if n % 10 == 5 { 100_000 } else { n * 20 });
        send(&right, n);
    }
    for _ in 0..3 {
        receive(&left, &mut buffer);
        receive(&right, &mut buffer);
    }
    for record in input.chunks_exact(10) {
        let (start, length) = AREAS[usize::from(record[0] % 4)];
        let place = usize::from(record[1]) * length / 256 / 8 * 8;
        let word = record[2..].try_into().map_or(0, u64::from_le_bytes);
        rings.scribble(start + place, word);
    }
    rings.free_guards();
    for _ in 0..25 {
        receive(&left, &mut buffer);
        receive(&right, &mut buffer);
    }
    send(&left, 10);
    send(&left, 100_000);
    receive(&right, &mut buffer);
    receive(&right, &mut buffer);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let record =
        |area: u8, place: u8, word: u64| [&[area, place][..], &word.to_le_bytes()].concat();
    vec![
        Vec::new(),
        // The tail, the head, and what one side saw of the other.
        [record(0, 4, 80), record(0, 68, 1 << 32), record(2, 72, 8)].concat(),
        // Lengths and tags, and the words of the event count.
        [record(1, 0, 3), record(1, 4, 1 << 32 | 12), record(0, 103, 1), record(0, 106, 9)]
            .concat(),
    ]
}
