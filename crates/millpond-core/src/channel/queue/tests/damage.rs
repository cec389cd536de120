//! Memory that another process wrote over.

use super::*;
use crate::channel::queue::error::Fault;
use crate::channel::queue::layout::{HEAP_START, MAP_START, UNIT, UNITS};
use crate::shm::region::HEADER;

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn filled() -> Queue {
    let queue = Queue::create(Options { tasks: true, ..Options::default() }).expect("a queue");
    for n in 0..200_usize {
        put(&queue, 0, &pattern(if n % 20 == 0 { 100_000 } else { n * 10 }, n));
    }
    (0..30).for_each(|_| drop(get(&queue)));
    queue
}

fn use_it(queue: &Queue) {
    for _ in 0..300 {
        let _ = try_get(queue);
        let _ = queue.task_done(Some(Instant::now()));
    }
    let _ = (queue.len(), queue.unfinished(), queue.is_full());
    let _ = try_put(queue, b"small");
    let _ = try_put(queue, &vec![1; 100_000]);
    queue.memory.sweep_the_dead();
    let _ = try_get(queue);
}

#[test]
fn damage_is_an_error_and_nothing_worse() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..200 {
        let queue = filled();
        let areas =
            [(HEADER as u64, 1024_u64), (MAP_START as u64, 1024), (HEAP_START, 4 * UNIT as u64)];
        let (start, length) = areas[round % 3];
        for _ in 0..1 + noise.next() % 8 {
            let at = start + noise.next() % length / 8 * 8;
            let value = match noise.next() % 4 {
                0 => u64::MAX,
                1 => noise.next() % 1024,
                2 => 1 << (noise.next() % 64),
                _ => noise.next(),
            };
            queue.scribble(at, &value.to_le_bytes());
        }
        queue.free_guards();
        use_it(&queue);
    }
}

#[test]
fn units_behind_the_end_of_the_file_are_refused() {
    let queue = queue();
    put(&queue, 0, &vec![1; 100_000]);
    let pages = |unit, units| queue.memory.place(unit, units);
    assert!(pages(0, 1).is_ok());
    for (unit, units) in [(UNITS - 1, 1), (0, UNITS), (5_000, 2_000), (1, usize::MAX)] {
        assert!(matches!(pages(unit, units), Err(Fault::Corrupt)), "{unit} {units}");
    }
    assert_eq!(get(&queue).1, vec![1; 100_000]);
}
