//! The waits that only make things faster: they end, and change nothing.

use super::*;
use crate::channel::payload::INLINE_LIMIT;

#[test]
fn items_that_come_one_by_one_are_not_waited_for() {
    let queue = queue();
    for n in 0..1000_usize {
        put(&queue, 0, &pattern(8, n));
        assert_eq!(get(&queue).1, pattern(8, n));
        // It is tried now and then, gathers nothing, and ends.
        assert!(queue.memory.batching.pause() <= 2);
    }
}

#[test]
fn items_of_a_fast_producer_arrive_in_order_however_long_they_gather() {
    let queue = queue();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..50_000_usize).for_each(|n| put(&queue, n as u32, &pattern(n % 20, n))));
        for n in 0..50_000_usize {
            assert_eq!(get(&queue), (n as u32, pattern(n % 20, n)));
        }
    });
    assert!(matches!(try_get(&queue), Err(GetError::Empty)));
}

#[test]
fn a_process_that_gets_no_memory_back_asks_ever_more_rarely() {
    let queue = queue();
    let item = pattern(INLINE_LIMIT + 1, 0);
    for _ in 0..40 {
        queue.await_reuse(item.len());
        put(&queue, 0, &item);
    }
    assert!(queue.memory.reuse.rarity() >= 4, "{:?}", queue.memory.reuse);
    (0..40).for_each(|_| assert!(get(&queue).1 == item));
    // Now there is memory that was used.
    queue.await_reuse(item.len());
}

#[test]
fn items_of_a_producer_that_waits_for_memory_arrive() {
    let queue = queue();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..200_usize {
                let item = pattern(200_000, n);
                queue.await_reuse(item.len());
                put(&queue, n as u32, &item);
            }
        });
        for n in 0..200_usize {
            let (tag, item) = get(&queue);
            assert!(tag == n as u32 && item == pattern(200_000, n), "{n}");
        }
    });
}
