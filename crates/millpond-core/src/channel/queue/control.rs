//! The control page of a queue: the layout of all words that its processes share, but for map and
//! heap.

use crate::channel::queue::endpoint_refs::EndpointRefs;
use crate::channel::queue::heap::HeapState;
use crate::channel::queue::layout::CONTROL;
use crate::channel::queue::readiness_fd::ReadinessFd;
use crate::channel::queue::side::Side;
use crate::channel::queue::tasks::Tasks;
use crate::channel::queue::waiters::Waiters;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// All of it is atomic, and any bits are some state.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Control {
    pub(super) put: Side,
    pub(super) get: Side,
    pub(super) heap: HeapState,
    /// How many items it may hold, 0 for any number. Written once.
    capacity: AtomicU64,
    /// [`TASKS`] and [`READINESS_FD`], as created.
    features: AtomicU64,
    /// The first segment.
    pub(super) first: AtomicU64,
    /// When a waiter last swept blocks of the dead, in milliseconds of the monotonic clock.
    pub(super) swept: AtomicU64,
    /// [`NO_PRODUCERS`] and [`NO_CONSUMERS`].
    closed: AtomicU32,
    /// 1 once an item had a handle in it, which has to be opened or taken back.
    pub(super) handles: AtomicU32,
    pub(super) not_empty: Waiters,
    pub(super) not_full: Waiters,
    pub(super) all_done: Waiters,
    pub(super) readiness_fd: ReadinessFd,
    pub(super) producers: EndpointRefs,
    pub(super) consumers: EndpointRefs,
    pub(super) tasks: Tasks,
}

const _: () = assert!(size_of::<Control>() <= CONTROL);

/// Unfinished tasks are counted.
pub(super) const TASKS: u64 = 1;
/// There is a descriptor to wait for items with.
pub(super) const READINESS_FD: u64 = 2;
/// No producer is left.
pub(super) const NO_PRODUCERS: u32 = 1;
/// No consumer is left.
pub(super) const NO_CONSUMERS: u32 = 2;

// Relaxed, where nothing else is said: written before the queue is known to others.
impl Control {
    pub(super) fn start(&self, capacity: Option<u32>, features: u64) {
        self.capacity.store(capacity.map_or(0, u64::from), Ordering::Relaxed);
        self.features.store(features, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn capacity(&self) -> Option<u64> {
        Some(self.capacity.load(Ordering::Relaxed)).filter(|&capacity| capacity > 0)
    }

    #[inline]
    pub(super) fn has(&self, feature: u64) -> bool {
        self.features.load(Ordering::Relaxed) & feature != 0
    }

    #[inline]
    pub(super) fn is_closed(&self, side: u32) -> bool {
        // Acquire: all that was put before the producers left is visible.
        self.closed.load(Ordering::Acquire) & side != 0
    }

    /// Closes a side for good.
    pub(super) fn close(&self, side: u32) {
        // Release: as above.
        self.closed.fetch_or(side, Ordering::Release);
        self.not_empty.wake_all();
        self.not_full.wake_all();
    }

    /// How many items were put and not yet taken.
    #[inline]
    pub(super) fn length(&self) -> u64 {
        // Taken first: it only grows, so the difference is never negative.
        let taken = self.get.count();
        self.put.count().saturating_sub(taken)
    }
}
