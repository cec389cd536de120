//! Captured handles: the shared objects whose handles are in a task's arguments, as the owner keeps
//! them until the task has ended.
//!
//! A handle that was sent keeps its object alive. If the receiver dies before it opens the handle,
//! only the sender can know that: it has to take the handle back, or else the memory stays mapped
//! and a channel waits for an end that is gone. So however a task ends, its `CapturedHandles` are
//! told which were opened ("have arrived"). The worker notes each handle that it opens in its link
//! ([`Arrivals`](crate::channel::link::Arrivals)), where the pool finds it after its death.
//!
//! | what becomes of the task | what has arrived |
//! |---|---|
//! | it is finished, even if it failed | all |
//! | its worker dies before it begins it | nothing yet: the task goes to another worker, with its captured handles |
//! | its worker dies in the midst of it | what the items before had, and what the link says of the last one |
//! | it is cancelled, or the pool does not take it | nothing |
//!
//! Taking back may wait for a process that is in the midst of leaving the same channel, so it is
//! not done under the pool's lock, but by the thread that held it, right after it released it.

use std::fmt;

use crate::channel::attachments::Attachments;

/// How many of a task's captured handles have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// All that belongs to the items before this one.
    pub items: u32,
    /// And so much of what belongs to this one, in the order of its encoding.
    pub pieces: u32,
}

impl Arrived {
    /// Nothing has.
    pub const NOTHING: Self = Self { items: 0, pieces: 0 };
    /// All has.
    pub const ALL: Self = Self { items: u32::MAX, pieces: u32::MAX };
}

/// The shared objects whose handles are in a task's arguments. Opaque to the engine. Those that
/// are dropped without [`settle`](Self::settle) count as not arrived.
pub trait CapturedHandles: fmt::Debug + Send {
    /// This much of it has arrived, and the rest will not.
    fn settle(self: Box<Self>, arrived: Arrived);
}

/// Memory that is kept until a task has come to its end, whatever has arrived: for a binding whose
/// wire handles can be opened any number of times meanwhile.
#[derive(Debug)]
pub struct KeptAttachments(pub Attachments);

impl CapturedHandles for KeptAttachments {
    fn settle(self: Box<Self>, _: Arrived) {}
}

/// Captured handles that are to be told which of them have arrived.
#[derive(Debug)]
pub(crate) struct Settlement {
    captured_handles: Box<dyn CapturedHandles>,
    arrived: Arrived,
}

impl Settlement {
    pub(crate) fn new(captured_handles: Box<dyn CapturedHandles>, arrived: Arrived) -> Self {
        Self { captured_handles, arrived }
    }

    /// Tells it.
    pub(crate) fn settle(self) {
        self.captured_handles.settle(self.arrived);
    }
}
