//! Threads of a model.

use crate::os::identity::ProcessId;
use crate::world;

/// Names the calling thread among those of all processes.
#[must_use]
pub fn token(me: ProcessId) -> u64 {
    u64::from(me.pid()) << 40 | world::thread()
}
