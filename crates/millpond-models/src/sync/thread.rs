//! Threads of a model.

use crate::os::identity::ProcessId;
use crate::world;

/// Names the calling thread among those of all processes.
#[must_use]
pub fn thread_id(me: ProcessId) -> u64 {
    u64::from(me.pid()) << 40 | world::thread()
}

/// Whether a thread id is that of a thread of this process.
#[must_use]
pub fn is_of(thread_id: u64, process: ProcessId) -> bool {
    thread_id >> 40 == u64::from(process.pid())
}
