//! Tests of `ring.rs`.

use super::*;

struct Memory {
    cursors: Box<[Line<AtomicU64>; 2]>,
    bytes: Box<[u64]>,
}

impl Memory {
    fn new(capacity: usize) -> Self {
        Self { cursors: Box::default(), bytes: vec![0; capacity / 8].into_boxed_slice() }
    }

    fn ends(&mut self) -> (Producer, Consumer) {
        let cursors = self.cursors.each_ref().map(|line| NonNull::from(&line.0));
        let capacity = self.bytes.len() * 8;
        let bytes = NonNull::new(self.bytes.as_mut_ptr().cast()).expect("a box has an address");
        // SAFETY: the memory outlives the ends in every test, and there is one pair.
        let ring = unsafe { Ring::new(cursors, bytes, capacity) };
        (Producer::new(ring, 0, 0), Consumer::new(ring, 0, 0))
    }
}

fn take(consumer: &mut Consumer) -> Option<Vec<u8>> {
    let frame = consumer.front().expect("an intact ring")?;
    assert_eq!(frame.claim(), Ok(true));
    let body = frame.body().to_vec();
    frame.release();
    Some(body)
}

#[test]
fn a_frame_is_claimed_once() {
    let mut memory = Memory::new(1024);
    let (mut producer, mut consumer) = memory.ends();
    producer.push(8, |body| body.fill(1)).expect("room");
    let frame = consumer.front().expect("an intact ring").expect("a frame");
    assert_eq!(frame.claim(), Ok(true));
    // Another process has a copy of this end: it must not wait for the frame to go.
    assert_eq!(frame.claim(), Err(Corrupt));
}

#[test]
fn frames_of_every_length_come_out_in_order_over_many_rounds() {
    let mut memory = Memory::new(1024);
    let (mut producer, mut consumer) = memory.ends();
    let mut expected = std::collections::VecDeque::new();
    for n in 0..10_000_usize {
        let body = vec![n.to_le_bytes()[0]; n * 31 % (largest_body(1024) + 1)];
        while producer.push(body.len(), |b| b.copy_from_slice(&body)).is_none() {
            assert_eq!(take(&mut consumer), expected.pop_front());
        }
        expected.push_back(body);
    }
    while let Some(body) = take(&mut consumer) {
        assert_eq!(Some(body), expected.pop_front());
    }
    assert!(expected.is_empty());
}

#[test]
fn frames_cross_from_thread_to_thread() {
    let mut memory = Memory::new(256);
    let (mut producer, mut consumer) = memory.ends();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..5_000_u64 {
                let mut push = || producer.push(8, |b| b.copy_from_slice(&n.to_le_bytes()));
                while push().is_none() {
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..5_000_u64 {
            let body = loop {
                match take(&mut consumer) {
                    Some(body) => break body,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(body, n.to_le_bytes());
        }
    });
}

#[test]
fn a_frame_belongs_to_who_decides_first() {
    let mut memory = Memory::new(1024);
    let (mut producer, mut consumer) = memory.ends();
    let positions: Vec<_> = (0..3).map(|n| producer.push(1, |b| b[0] = n).expect("room")).collect();
    assert!(producer.revoke(positions[0]));
    let frame = consumer.front().expect("intact").expect("a frame");
    assert_eq!(frame.body(), [1]);
    assert_eq!(frame.claim(), Ok(true));
    assert!(!producer.revoke(positions[1]));
    consumer.front().expect("intact").expect("a frame").release();
    assert_eq!(producer.look_at_head(), Ok(positions[2]));
    assert!(!producer.revoke(positions[1]));
    let claimed = |position, length| producer.claimed(position, length);
    assert_eq!(claimed(positions[1], 1), Ok(true));
    assert_eq!(claimed(positions[2], 1), Ok(false));
    assert_eq!(claimed(positions[2], 2), Err(Corrupt));
    assert!(producer.revoke(positions[2]));
    assert!(consumer.front().expect("intact").is_none());
}

#[test]
fn a_head_that_no_consumer_writes_is_damage_for_good() {
    for damage in [1, 7, 24, 1 << 63, u64::MAX - 7] {
        let mut memory = Memory::new(1024);
        let (mut producer, mut consumer) = memory.ends();
        let first = producer.push(1, |_| ()).expect("room");
        consumer.front().expect("intact").expect("a frame").release();
        let head = producer.look_at_head().expect("intact");
        let second = producer.push(1, |_| ()).expect("room");
        assert!(first < head && head == second);
        let word = &producer.ring.head();
        word.store(head.wrapping_add(damage), Ordering::Relaxed);
        assert!(!producer.revoke(second), "whether it was begun is not known");
        assert!(producer.is_damaged());
        producer.ring.head().store(head, Ordering::Relaxed);
        assert_eq!(producer.look_at_head(), Err(Corrupt));
    }
}

#[test]
fn damaged_lengths_are_reported() {
    for damage in [0_u32, 7, 9_999, u32::MAX] {
        let mut memory = Memory::new(1024);
        let (mut producer, mut consumer) = memory.ends();
        producer.push(8, |_| ()).expect("room");
        producer.ring.word(0).store(damage, Ordering::Relaxed);
        assert_eq!(consumer.front().err(), Some(Corrupt));
    }
    let mut memory = Memory::new(1024);
    let (producer, mut consumer) = memory.ends();
    producer.ring.tail().store(5_000, Ordering::Relaxed);
    assert_eq!(consumer.front().err(), Some(Corrupt));
}
