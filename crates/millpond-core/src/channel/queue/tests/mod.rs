//! Tests of the queue.

mod basics;
mod damage;
mod deaths;
mod ends;
mod pace;

use std::time::Instant;

use crate::channel::payload::Parts;
use crate::channel::queue::{GetError, Options, PutError, Queue, ReceivedItem};
use crate::sync::testing::far;

fn queue() -> Queue {
    Queue::create(Options::default()).expect("a queue")
}

fn bounded(capacity: u32) -> Queue {
    Queue::create(Options { capacity: Some(capacity), ..Options::default() }).expect("a queue")
}

fn put(queue: &Queue, tag: u32, bytes: &[u8]) {
    queue.put(tag, Parts(&[&bytes]), far()).expect("put");
}

fn try_put(queue: &Queue, bytes: &[u8]) -> Result<(), PutError> {
    queue.put(0, Parts(&[&bytes]), Some(Instant::now()))
}

fn content(buffer: &[u8], received: &ReceivedItem) -> Vec<u8> {
    let bytes = received.block.as_ref().map(|block| block.bytes());
    bytes.unwrap_or_else(|| &buffer[received.bytes.clone()]).to_vec()
}

fn get(queue: &Queue) -> (u32, Vec<u8>) {
    get_until(queue, far()).expect("an item")
}

fn try_get(queue: &Queue) -> Result<(u32, Vec<u8>), GetError> {
    get_until(queue, Some(Instant::now()))
}

fn get_until(queue: &Queue, deadline: Option<Instant>) -> Result<(u32, Vec<u8>), GetError> {
    let mut buffer = Vec::new();
    let received = queue.get(&mut buffer, deadline)?;
    Ok((received.tag, content(&buffer, &received)))
}

/// Bytes that tell their length and seed.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + seed * 13 + length) % 251) as u8).collect()
}
