//! Whether the processes of a model live.

use crate::os::identity::ProcessId;

/// Gives memory pages; the model's has them.
pub(crate) fn reserve<T>(_bytes: &T) -> std::io::Result<()> {
    Ok(())
}

/// Whether a process lives; the model's memory is all of its processes'.
pub(crate) fn lives<T>(who: ProcessId, _near: &T) -> bool {
    who.is_alive()
}

/// Whether a name stands that was never a process'; none does in models.
pub(crate) fn stands_unseen<T>(_who: ProcessId, _near: &T) -> bool {
    false
}
