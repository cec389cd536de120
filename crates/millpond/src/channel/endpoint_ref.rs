//! One handle's part in keeping an end of a channel open.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_core::channel::queue::{End, Queue as Engine};
use millpond_core::os::identity::ProcessId;
use serde::{Deserializer, Serializer};

use crate::queue::unread::{self, kind, recall_end};
use crate::wire_handle;

/// An end of a channel, counted for this process as long as it lives.
#[derive(Debug)]
pub(super) struct EndpointRef {
    engine: Engine,
    end: End,
    /// The process that it is counted for.
    counted: AtomicU64,
}

impl EndpointRef {
    /// One more handle of this process.
    pub(super) fn join(engine: Engine, end: End) -> io::Result<Self> {
        engine.join_end(end)?;
        Ok(Self { engine, end, counted: AtomicU64::new(ProcessId::current().raw()) })
    }

    /// The queue, for which the process that calls is counted by now.
    #[inline]
    pub(super) fn engine(&self) -> &Engine {
        let me = ProcessId::current().raw();
        // Relaxed: it only tells a process from the one that forked it.
        if self.counted.load(Ordering::Relaxed) != me {
            self.count(me);
        }
        &self.engine
    }

    /// Counts a forked child that uses its copy for the first time.
    #[cold]
    fn count(&self, me: u64) {
        let before = self.counted.swap(me, Ordering::Relaxed);
        // Where there is no memory to count it, the next use tries again. Meanwhile the channel may
        // be found closed, which is an error; one more that is never gone would be a hang.
        if before != me && self.engine.join_end(self.end).is_err() {
            self.counted.store(before, Ordering::Relaxed);
        }
    }

    /// The queue, for a look at it.
    pub(super) fn glance(&self) -> &Engine {
        &self.engine
    }

    /// Encodes it. What is on its way counts until it has arrived.
    pub(super) fn send<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let sent = wire_handle::send(self.engine().slot(), kind(self.end), to)?;
        if wire_handle::is_dry_run() {
            return Ok(sent);
        }
        self.engine.send_end(self.end);
        let (engine, end) = (self.engine.clone(), self.end);
        wire_handle::on_recall(move || recall_end(&engine, end));
        Ok(sent)
    }

    pub(super) fn receive<'de, D: Deserializer<'de>>(end: End, from: D) -> Result<Self, D::Error> {
        let arrive = |slot| {
            let engine = Engine::in_slot(slot)?;
            if wire_handle::is_copy() {
                engine.join_end(end)?;
            } else {
                engine.arrive_at_end(end).inspect_err(|_| recall_end(&engine, end))?;
            }
            Ok(engine)
        };
        let engine = wire_handle::receive(kind(end), from, arrive)?;
        Ok(Self { engine, end, counted: AtomicU64::new(ProcessId::current().raw()) })
    }
}

impl Clone for EndpointRef {
    fn clone(&self) -> Self {
        let counted = AtomicU64::new(0);
        let clone = Self { engine: self.engine().clone(), end: self.end, counted };
        // This process is counted already, so that it has a place.
        clone.count(ProcessId::current().raw());
        clone
    }
}

impl Drop for EndpointRef {
    fn drop(&mut self) {
        // A forked child that never used its copy is not counted.
        if *self.counted.get_mut() == ProcessId::current().raw() {
            let was_last = self.engine.leave_end(self.end);
            match self.end {
                End::Consumers if was_last => unread::discard(&self.engine),
                End::Consumers => {}
                End::Producers => unread::settle(),
            }
        }
    }
}
