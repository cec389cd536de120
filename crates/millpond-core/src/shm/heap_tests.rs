//! Tests of the heap.

use super::*;
use crate::shm::lease::Importer;

fn heap() -> (Segment, Heap) {
    let segment = Segment::create("millpond-test", 4096).expect("memory");
    let heap = Heap::new(&segment).expect("heap");
    (segment, heap)
}

fn lend(heap: &mut Heap, length: usize) -> BlockRef {
    heap.lend(length, RECEIVER, |p| p[0] = 1).expect("block")
}

/// What the receiver of a block does.
fn give_back(heap: &Heap, block: BlockRef) {
    let index = heap.find(block).expect("a block");
    heap.blocks[index].state().store(FREE, Ordering::Release);
}

fn pages(segment: &Segment) -> u64 {
    rustix::fs::fstat(segment.as_fd()).expect("a descriptor").st_blocks.cast_unsigned() * 512
}

#[test]
fn a_block_comes_back_when_its_lease_is_dropped() {
    let (segment, mut heap) = heap();
    let mut importer = Importer::default();
    let first = heap.lend(100_000, RECEIVER, |p| p.fill(7)).expect("block");
    let lease = importer.open(segment.as_fd(), first).expect("lease");
    assert_eq!(lease.bytes(), vec![7; 100_000]);
    assert_ne!(lend(&mut heap, 100_000).offset, first.offset);
    drop(lease);
    assert_eq!(lend(&mut heap, 90_000).offset, first.offset);
}

#[test]
fn what_a_dead_holder_held_is_reclaimed() {
    let (_segment, mut heap) = heap();
    let block = heap.lend(70_000, NOBODY, |_| ()).expect("block");
    heap.hand_to(block, 42);
    heap.reclaim(41);
    assert_ne!(lend(&mut heap, 70_000).offset, block.offset);
    heap.reclaim(42);
    assert_eq!(lend(&mut heap, 70_000).offset, block.offset);
}

#[test]
fn a_block_that_came_back_without_its_pages_gets_new_ones() {
    let (segment, mut heap) = heap();
    for is_dead in [false, true] {
        let block = heap.lend(1 << 20, 42, |p| p.fill(1)).expect("block");
        let before = pages(&segment);
        let map = &heap.blocks[0].map;
        // SAFETY: the receiver needs them no more.
        unsafe { map.discard(4096, 1 << 19) }.expect("pages go back");
        assert!(pages(&segment) < before);
        let cold = if is_dead { LENT | COLD } else { COLD };
        heap.blocks[0].state().store(cold, Ordering::Relaxed);
        if is_dead {
            heap.reclaim(42);
        }
        let again = heap.lend(1 << 20, 42, |_| ()).expect("block");
        assert_eq!((again.offset, pages(&segment)), (block.offset, before));
        heap.free(again);
    }
}

#[test]
fn memory_goes_back_beyond_the_warm_limit() {
    let (segment, mut heap) = heap();
    let blocks: Vec<_> = (0..12).map(|_| lend(&mut heap, 9 << 20)).collect();
    assert!(pages(&segment) > WARM_LIMIT);
    blocks.iter().for_each(|&block| give_back(&heap, block));
    lend(&mut heap, 1);
    drop(heap.cooling());
    assert!(pages(&segment) < WARM_LIMIT + (1 << 20));
    // The first are those that have pages.
    lend(&mut heap, 9 << 20);
    assert!(pages(&segment) < WARM_LIMIT + (1 << 20));
}

#[test]
fn memory_goes_back_without_another_allocation() {
    let (segment, mut heap) = heap();
    let blocks: Vec<_> = (0..2000).map(|_| lend(&mut heap, 800_000)).collect();
    let (kept, returned) = blocks.split_at(10);
    returned.iter().for_each(|&block| give_back(&heap, block));
    heap.look_around(64);
    drop(heap.cooling());
    let of_kept = kept.len() as u64 * (1 << 20);
    assert!(pages(&segment) <= WARM_LIMIT + of_kept, "{}", pages(&segment));
    kept.iter().for_each(|&block| give_back(&heap, block));
    // As an owner whose next payloads are small.
    (0..2).for_each(|_| heap.look_around(1));
    drop(heap.cooling());
    assert!(pages(&segment) <= WARM_LIMIT, "{}", pages(&segment));
}

#[test]
fn a_draft_that_is_dropped_is_taken_out_again() {
    let (_segment, mut heap) = heap();
    let draft = heap.take(70_000).expect("block");
    let offset = draft.block.offset;
    drop(draft);
    let filled = heap.take(70_000).expect("block").fill(|p| p.fill(1)).expect("memory");
    assert_eq!(filled.0.block.offset, offset);
    drop(filled);
    let again = heap.take(70_000).expect("block");
    assert_eq!((again.block.offset, again.warm > 70_000), (offset, true));
}

#[test]
fn an_allocation_looks_at_a_few_blocks_however_many_are_lent() {
    const BLOCKS: usize = 3_000;
    let (_segment, mut heap) = heap();
    let blocks: Vec<_> = (0..BLOCKS).map(|_| lend(&mut heap, 1)).collect();
    assert!(heap.looks <= (BLOCKS * LOOKS) as u64, "{}", heap.looks);
    // In reverse, each used again as soon as it is back.
    for &block in blocks.iter().rev() {
        give_back(&heap, block);
        lend(&mut heap, 1);
    }
    assert!(heap.looks <= (3 * BLOCKS * LOOKS) as u64, "{}", heap.looks);
    assert!(heap.blocks.len() <= BLOCKS + BLOCKS / LOOKS * 2, "{}", heap.blocks.len());
}

#[test]
fn many_blocks_take_few_mappings() {
    let (_segment, mut heap) = heap();
    (0..3_000).for_each(|_| drop(heap.take(1).expect("block").back.take()));
    let mut maps: Vec<_> = heap.blocks.iter().map(|block| block.map.start()).collect();
    maps.dedup();
    assert!(maps.len() <= 10, "{}", maps.len());
}

#[test]
fn an_impossible_size_is_an_error() {
    let (_segment, mut heap) = heap();
    assert!(heap.take(usize::MAX - 100).is_err());
    assert!(heap.take(1 << 60).is_err());
    lend(&mut heap, 1);
}
