//! Producers that die.

use millpond_core::channel::queue::Options;
use millpond_core::crash;

use crate::items::{Counter, Kind, memory_comes_back, put_batch, queue, take_all};
use crate::support::{Case, Child};

pub(crate) const CASES: [Case; 25] = [
    case("queue: entered to put", "producer", small),
    case("queue: record is written", "producer of small items", small),
    case("queue: record is written", "producer of many items", many),
    case("queue: position is written", "producer of small items", small),
    case("queue: position is written", "producer of large items", large),
    case("queue: position is written", "producer of many items", many),
    case("queue: committed", "producer of small items", small),
    case("queue: committed", "producer of large items", large),
    case("queue: committed", "producer of many items", many),
    case("queue: block is filled", "producer of large items", large),
    case("queue: block is filled", "producer of many items", many),
    case("queue: block is queued", "producer of large items", large),
    case("queue: block is queued", "producer of many items", many),
    case("queue: units are found", "producer that needs a segment", fat),
    case("queue: units are found", "producer that needs a block", large),
    case("queue: units are taken", "producer that needs a segment", fat),
    case("queue: units are taken", "producer that needs a block", large),
    case("queue: block is claimed", "producer that needs a segment", fat),
    case("queue: block is claimed", "producer that needs a block", large),
    case("queue: segment is allocated", "producer", fat),
    case("queue: segment is linked", "producer", fat),
    case("queue: segment is linked", "producer of many items", many),
    case("queue: garbage is found", "producer that cleans up", cleaner),
    case("queue: hint is lowered", "producer that cleans up", cleaner),
    case("queue: block is free", "producer that cleans up", cleaner),
];

const fn case(point: &'static str, role: &'static str, visit: fn(&'static str)) -> Case {
    Case { point, role, visit }
}

fn small(point: &'static str) {
    visit(point, Kind::Small, 5);
    // Before there is a first segment.
    visit(point, Kind::Small, 0);
}

fn fat(point: &'static str) {
    visit(point, Kind::Fat, 7);
    visit(point, Kind::Fat, 0);
}

fn large(point: &'static str) {
    visit(point, Kind::Large, 3);
}

fn many(point: &'static str) {
    visit(point, Kind::Many, 3);
    visit(point, Kind::Many, 0);
}

/// A producer dies at `point` after it has put some batches. Others find all that it had committed,
/// nothing else, and go on.
fn visit(point: &'static str, kind: Kind, before: u64) {
    let (queue, put) = (queue(Options::default()), Counter::new());
    Child::run(|| {
        for number in 0.. {
            if number == before {
                crash::arm(point);
            }
            put_batch(&queue, kind, put.get());
            put.add(kind.batch());
            if number > before + 50 {
                break;
            }
        }
        false
    })
    .has_died();
    let is_committed = point == "queue: committed";
    let committed = put.get() + if is_committed { kind.batch() } else { 0 };
    assert_eq!(queue.len(), committed);
    Child::run(|| {
        (0..20).for_each(|batch| put_batch(&queue, kind, committed + batch * kind.batch()));
        true
    })
    .ends_well();
    let taken = take_all(&queue, kind);
    assert!(taken.iter().copied().eq(0..committed + 20 * kind.batch()), "{taken:?}");
    memory_comes_back(&queue);
}

/// One producer dies and leaves blocks that count for nothing; the next one dies as it frees them.
fn cleaner(point: &'static str) {
    let queue = queue(Options::default());
    put_batch(&queue, Kind::Many, 0);
    for deaths in ["queue: block is queued", point] {
        Child::dies_at(deaths, || put_batch(&queue, Kind::Many, 9));
    }
    Child::run(|| {
        put_batch(&queue, Kind::Many, 9);
        true
    })
    .ends_well();
    assert!(take_all(&queue, Kind::Many).into_iter().eq(0..18));
    memory_comes_back(&queue);
}
