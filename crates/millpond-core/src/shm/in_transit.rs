//! The regions that this process keeps because it has sent wire handles of them that are not used
//! yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::shm::region::Region;
use crate::shm::tables::{self, OwnTable};

static KEPT: OwnTable<Arc<Region>> = OwnTable::new();

/// Keeps a region until its wire handles have arrived.
pub(crate) fn keep(region: &Arc<Region>) {
    let mut tables = tables::lock();
    let kept = KEPT.of(&mut tables);
    if !kept.iter().any(|other| Arc::ptr_eq(other, region)) {
        kept.push(Arc::clone(region));
    }
}

/// Lets go of the regions that were kept for wire handles which have arrived by now; returns whether
/// all have.
pub(crate) fn let_go_of_arrived() -> bool {
    let mut tables = tables::lock();
    let kept = KEPT.of(&mut tables);
    let arrived: Vec<_> = kept.extract_if(.., |region| !region.is_in_transit()).collect();
    let all = kept.is_empty();
    // Dropping a region locks the tables.
    drop(tables);
    drop(arrived);
    all
}

/// Waits until all that this process made and sent has arrived, but not beyond `deadline`; returns
/// whether it has. For a process that is about to end, with which all goes that no other process has.
pub fn wait_for_arrivals(deadline: Instant) -> bool {
    let mut pause = Duration::from_micros(100);
    loop {
        let_go_of_arrived();
        if !KEPT.of(&mut tables::lock()).iter().any(|region| region.is_made_here()) {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}
