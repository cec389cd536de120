//! Whether the processes of a model live.

use crate::os::identity::ProcessId;

/// Whether a process lives; the model's memory is all of its processes'.
pub(crate) fn lives<T>(who: ProcessId, _near: &T) -> bool {
    who.is_alive()
}
