//! Models have no processes that do nothing.

use crate::os::identity::ProcessId;

/// Whether no other process can have it: never known.
pub(crate) fn only_these_use<T>(_near: &T, _others: &[ProcessId]) -> bool {
    false
}
