//! Models of the ring of frames.

use std::ptr::NonNull;
use std::sync::Arc;

use millpond_models::channel::ring::{Consumer, Line, Producer, Ring};
use millpond_models::model::{Model, Process};
use millpond_models::sync::atomic::in_place::AtomicU64;
use millpond_models::world::step;

const CAPACITY: usize = 128;

/// The memory of a ring; the ends keep it.
struct Memory {
    cursors: [Line<AtomicU64>; 2],
    bytes: [u64; CAPACITY / 8],
}

fn ring() -> (Arc<Memory>, Producer, Consumer) {
    let memory = Arc::new(Memory { cursors: Default::default(), bytes: [0; CAPACITY / 8] });
    let start = Arc::as_ptr(&memory).cast_mut();
    let cursors = memory.cursors.each_ref().map(|line| NonNull::from(&line.0));
    // SAFETY: within the allocation, which all who have an end keep; one end of each kind.
    let ring = unsafe {
        let bytes = NonNull::new_unchecked((&raw mut (*start).bytes).cast());
        Ring::new(cursors, bytes, CAPACITY)
    };
    (memory, Producer::new(ring, 0, 0), Consumer::new(ring, 0, 0))
}

/// A body that says whether it is whole, written with others looking on.
fn write(body: &mut [u8], number: u8) {
    for piece in body.chunks_mut(12) {
        step();
        piece.fill(number);
    }
}

/// The number of the next frame, if there is one and it could be claimed.
fn take(consumer: &mut Consumer) -> Option<u8> {
    let frame = consumer.front().expect("an intact ring")?;
    let claimed = frame.claim().expect("one consumer");
    let number = frame.body()[0];
    step();
    assert!(frame.body().iter().all(|byte| *byte == number), "half a frame");
    frame.release();
    claimed.then_some(number)
}

#[test]
fn frames_arrive_whole_and_in_order() {
    Model::of(2, 3).run(|| {
        let (memory, mut producer, mut consumer) = ring();
        let putting = Process::run(2, move || {
            let _memory = memory;
            for number in 1..=5 {
                // Four of them fill the buffer: the fifth has to wait for room.
                while producer.push(24, |body| write(body, number)).is_none() {
                    loom::thread::yield_now();
                }
            }
        });
        let mut taken = Vec::new();
        while taken.len() < 5 {
            match take(&mut consumer) {
                Some(number) => taken.push(number),
                None => loom::thread::yield_now(),
            }
        }
        assert_eq!(taken, [1, 2, 3, 4, 5]);
        putting.join();
    });
}

#[test]
fn a_frame_is_received_or_taken_back() {
    Model::of(3, 5).run(|| {
        let (memory, mut producer, mut consumer) = ring();
        let taking = Process::run(2, move || {
            let _memory = memory;
            [take(&mut consumer), take(&mut consumer), take(&mut consumer)]
        });
        let positions =
            [1, 2].map(|number| producer.push(2, |body| write(body, number)).expect("room"));
        let revoked = [producer.revoke(positions[0]), producer.revoke(positions[1])];
        let taken = taking.join().expect("it lives");
        for (number, revoked) in (1..).zip(revoked) {
            let received = taken.iter().filter(|taken| **taken == Some(number)).count();
            assert!(received <= 1);
            assert!(!revoked || received == 0, "{number} was taken back, and received");
            // Not taken back means that the consumer has claimed it.
            assert!(revoked || received == 1, "{number} is lost");
        }
    });
}
