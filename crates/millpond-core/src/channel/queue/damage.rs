//! For tests and fuzzing: what is in use, and memory as a process gone wild would leave it.

use std::os::fd::AsFd;

use crate::channel::queue::Queue;
use crate::channel::queue::layout::Holding;

impl Queue {
    /// Overwrites the memory of the queue from `offset` on: the control page from 64, the unit map
    /// from 8 KiB, the heap from 64 MiB. What cannot be written is left out.
    ///
    /// Whatever is written, using the queue afterwards ends in errors or wrong items at worst,
    /// provided that [its guards are free](Self::free_guards).
    #[doc(hidden)]
    pub fn scribble(&self, offset: u64, bytes: &[u8]) {
        let _ = rustix::io::pwrite(self.memory.region().as_fd(), bytes, offset);
    }

    /// How many blocks and segments of the memory are in use.
    #[doc(hidden)]
    #[must_use]
    pub fn blocks_in_use(&self) -> usize {
        let heap = self.memory.heap();
        let _guard = heap.enter(None);
        let mut blocks = 0;
        heap.each_unit(|_, holding, _| blocks += usize::from(holding != Holding::Free));
        blocks
    }

    /// Makes all guards free, whichever process they name: noise may have written the name of a
    /// process that never ends.
    #[doc(hidden)]
    pub fn free_guards(&self) {
        let control = self.memory.control();
        control.put.force_free();
        control.get.force_free();
        control.heap.force_free();
        control.producers.force_free();
        control.consumers.force_free();
        control.readiness_fd.force_free();
    }
}
