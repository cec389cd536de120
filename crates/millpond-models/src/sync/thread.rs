//! Threads of a model.

use crate::os::identity::ProcessId;
use crate::world;

/// Names the calling thread among those of all processes.
#[must_use]
pub fn token(me: ProcessId) -> u64 {
    u64::from(me.pid()) << 40 | world::thread()
}

/// Whether a token is that of a thread of this process.
#[must_use]
pub fn is_of(token: u64, process: ProcessId) -> bool {
    token >> 40 == u64::from(process.pid())
}
