//! Consumers that die.

use millpond_core::channel::queue::Options;
use millpond_core::crash;

use crate::items::{Counter, Kind, memory_comes_back, put_batch, queue, take_all, take_batch};
use crate::support::{Case, Child};

pub(crate) const CASES: [Case; 20] = [
    case("queue: entered to get", "consumer", small),
    case("queue: items are copied", "consumer of small items", small),
    case("queue: items are copied", "consumer of large items", large),
    case("queue: items are copied", "consumer of many items", many),
    case("queue: position is written", "consumer of small items", small),
    case("queue: position is written", "consumer of large items", large),
    case("queue: position is written", "consumer of many items", many),
    case("queue: committed", "consumer of small items", small),
    case("queue: committed", "consumer of large items", large),
    case("queue: committed", "consumer of many items", many),
    case("queue: block is taken", "consumer of large items", large),
    case("queue: block is taken", "consumer of many items", many),
    case("queue: segment is about to be freed", "consumer", fat),
    case("queue: segment is about to be freed", "consumer of many items", many),
    case("queue: block is about to be freed", "consumer that frees a segment", fat),
    case("queue: block is about to be freed", "consumer that drops an item", large),
    case("queue: hint is lowered", "consumer that frees a segment", fat),
    case("queue: hint is lowered", "consumer that drops an item", large),
    case("queue: block is free", "consumer that frees a segment", fat),
    case("queue: block is free", "consumer that drops an item", large),
];

/// Where an item is taken already and `get` has not returned.
const TAKEN: [&str; 3] =
    ["queue: committed", "queue: block is taken", "queue: segment is about to be freed"];
/// Where it may have returned.
const FREEING: [&str; 3] =
    ["queue: block is about to be freed", "queue: hint is lowered", "queue: block is free"];

const fn case(point: &'static str, role: &'static str, visit: fn(&'static str)) -> Case {
    Case { point, role, visit }
}

fn small(point: &'static str) {
    visit(point, Kind::Small, 0);
    visit(point, Kind::Small, 5);
}

fn fat(point: &'static str) {
    visit(point, Kind::Fat, 5);
}

fn large(point: &'static str) {
    visit(point, Kind::Large, 0);
    visit(point, Kind::Large, 3);
}

fn many(point: &'static str) {
    visit(point, Kind::Many, 0);
    visit(point, Kind::Many, 2);
}

/// A consumer dies at `point` after it has taken some batches. Others get all that it had not
/// taken, each item once, and go on.
fn visit(point: &'static str, kind: Kind, before: u64) {
    const BATCHES: u64 = 30;
    let (queue, taken) = (queue(Options::default()), Counter::new());
    (0..BATCHES).for_each(|batch| put_batch(&queue, kind, batch * kind.batch()));
    Child::run(|| {
        for number in 0..BATCHES {
            if number == before {
                crash::arm(point);
            }
            let (numbers, blocks) = take_batch(&queue, kind);
            let first = number * kind.batch();
            if !numbers.into_iter().eq(first..first + kind.batch()) {
                return true;
            }
            taken.add(kind.batch());
            drop(blocks);
        }
        false
    })
    .has_died();
    let (batch, all) = (kind.batch(), BATCHES * kind.batch());
    put_batch(&queue, kind, all);
    let left = take_all(&queue, kind);
    let first = left[0];
    let taken = taken.get();
    let expected = taken + if TAKEN.contains(&point) { batch } else { 0 };
    assert!(
        first == expected || (FREEING.contains(&point) && first == taken + batch),
        "after {taken} items comes number {first}"
    );
    assert!(left.iter().copied().eq(first..all + batch), "{left:?}");
    memory_comes_back(&queue);
}
