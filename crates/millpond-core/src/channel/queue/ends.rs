//! The two ends of a queue that is used as a channel, and the handles that count as references to
//! each.

use std::io;

use crate::channel::queue::Queue;
use crate::channel::queue::control::{NO_CONSUMERS, NO_PRODUCERS};
use crate::channel::queue::endpoint_refs::EndpointRefs;
use crate::channel::queue::memory::Memory;
use crate::channel::queue::process_counts::{Counted, ProcessCounts};
use crate::crash::crash_point;
use crate::sync::atomic::Ordering;

/// An end of a queue that is a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The handles that put.
    Producers,
    /// The handles that take.
    Consumers,
}

impl End {
    fn flag(self) -> u32 {
        match self {
            Self::Producers => NO_PRODUCERS,
            Self::Consumers => NO_CONSUMERS,
        }
    }
}

impl Memory {
    fn refs(&self, end: End) -> &EndpointRefs {
        match end {
            End::Producers => &self.control().producers,
            End::Consumers => &self.control().consumers,
        }
    }

    fn counts_of(&self, end: End) -> ProcessCounts<'_> {
        self.counts(match end {
            End::Producers => Counted::Producers,
            End::Consumers => Counted::Consumers,
        })
    }

    /// Closes an end whose handles are all gone; whether it is closed.
    pub(super) fn close_if_deserted(&self, end: End) -> bool {
        if !self.control().is_closed(end.flag()) && self.refs(end).look(self.counts_of(end)) {
            self.control().close(end.flag());
        }
        self.control().is_closed(end.flag())
    }

    /// The same, if the last look is older than a recheck interval (50 ms): for producers that
    /// never wait, so that items for which no consumer is left do not fill the memory.
    pub(super) fn close_if_deserted_lately(&self, end: End) {
        if self.refs(end).is_due() {
            self.close_if_deserted(end);
        }
    }
}

impl Queue {
    /// The calling process has one more handle of this end.
    ///
    /// # Errors
    /// The system's, if the process has no other and memory has run out.
    pub fn join_end(&self, end: End) -> io::Result<()> {
        self.memory.refs(end).join(self.memory.counts_of(end), false)
    }

    /// The calling process has one more handle of this end, which [was sent](Self::send_end) to it.
    ///
    /// # Errors
    /// The system's, if the process has no other and memory has run out.
    pub fn arrive_at_end(&self, end: End) -> io::Result<()> {
        self.memory.refs(end).join(self.memory.counts_of(end), true)
    }

    /// A handle of this end is sent to some process.
    pub fn send_end(&self, end: End) {
        self.memory.refs(end).send();
    }

    /// A handle of this end that [was sent](Self::send_end) will not arrive: its receiver is dead.
    /// If there is no other, the end is closed; returns whether it was.
    pub fn recall_end(&self, end: End) -> bool {
        let deserted = self.memory.refs(end).recall(self.memory.counts_of(end));
        if deserted {
            self.memory.control().close(end.flag());
        }
        deserted
    }

    /// The calling process has one handle less of this end. The last one closes it; returns whether
    /// this was that one.
    pub fn leave_end(&self, end: End) -> bool {
        let deserted = self.memory.refs(end).leave(self.memory.counts_of(end));
        if deserted {
            crash_point!("queue: end is about to be closed");
            self.memory.control().close(end.flag());
        }
        deserted
    }

    /// Whether an end is closed, or is now since the processes of all its handles are dead.
    #[must_use]
    pub fn is_deserted(&self, end: End) -> bool {
        self.memory.close_if_deserted(end)
    }

    /// Whether it is a channel, whose ends count their handles.
    #[must_use]
    pub fn has_ends(&self) -> bool {
        self.memory.control().producers.is_used()
    }

    /// Whether handles of an end are on their way in messages.
    #[must_use]
    pub fn is_end_in_transit(&self) -> bool {
        let control = self.memory.control();
        [&control.producers, &control.consumers].iter().any(|end| end.is_in_transit())
    }

    /// To be called before an item with handles is put. If no consumer takes it, a process has to
    /// [take them back](Self::carries_handles).
    pub fn will_carry_handles(&self) {
        // Relaxed: the commit of the item comes behind it, and publishes it.
        self.memory.control().handles.store(1, Ordering::Relaxed);
    }

    /// Whether there may be handles in the items that are left.
    #[must_use]
    pub fn carries_handles(&self) -> bool {
        !self.is_empty() && self.memory.control().handles.load(Ordering::Relaxed) != 0
    }
}
