//! The functions that a pool's tasks name, each sent to a worker once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::pool::task::FunctionId;

/// How many functions that no job uses are remembered, here and by the workers.
const IDLE_LIMIT: usize = 64;
/// Larger ones, in bytes, are forgotten with their last job.
const IDLE_BYTES: usize = 64 << 10;

/// Functions by number and by their bytes.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    by_bytes: HashMap<Arc<[u8]>, FunctionId>,
    entries: HashMap<FunctionId, Entry>,
    /// Functions that no job uses, the longest unused first; some may be in use again.
    idle: VecDeque<FunctionId>,
    last: FunctionId,
}

#[derive(Debug)]
struct Entry {
    bytes: Arc<[u8]>,
    label: Arc<str>,
    jobs: usize,
}

impl Functions {
    /// The number of a function that a new job uses.
    pub(crate) fn begin_use(&mut self, bytes: &[u8], label: &str) -> FunctionId {
        if let Some(&id) = self.by_bytes.get(bytes) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.jobs += 1;
            }
            return id;
        }
        self.last += 1;
        let bytes: Arc<[u8]> = bytes.into();
        self.by_bytes.insert(Arc::clone(&bytes), self.last);
        self.entries.insert(self.last, Entry { bytes, label: label.into(), jobs: 1 });
        self.last
    }

    /// A job that used the function is gone. Returns a function to forget, if there are too many.
    pub(crate) fn end_use(&mut self, id: FunctionId) -> Option<FunctionId> {
        let entry = self.entries.get_mut(&id)?;
        entry.jobs -= 1;
        if entry.jobs == 0 && entry.bytes.len() > IDLE_BYTES {
            return self.forget(id);
        }
        if entry.jobs == 0 && self.idle.back() != Some(&id) {
            self.idle.push_back(id);
        }
        if self.idle.len() <= IDLE_LIMIT {
            return None;
        }
        let oldest = self.idle.pop_front()?;
        if self.entries.get(&oldest).is_none_or(|e| e.jobs > 0) || self.idle.contains(&oldest) {
            return None;
        }
        self.forget(oldest)
    }

    fn forget(&mut self, id: FunctionId) -> Option<FunctionId> {
        let entry = self.entries.remove(&id)?;
        self.by_bytes.remove(&entry.bytes);
        Some(id)
    }

    /// The function as the binding encoded it.
    pub(crate) fn bytes(&self, id: FunctionId) -> Option<Arc<[u8]>> {
        self.entries.get(&id).map(|e| Arc::clone(&e.bytes))
    }

    /// What the binding calls the function.
    pub(crate) fn label(&self, id: FunctionId) -> Arc<str> {
        self.entries.get(&id).map_or_else(|| "?".into(), |e| Arc::clone(&e.label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_functions_share_a_number() {
        let mut functions = Functions::default();
        let a = functions.begin_use(b"a", "a");
        assert_eq!(functions.begin_use(b"a", "a"), a);
        assert_ne!(functions.begin_use(b"b", "b"), a);
        assert_eq!(&*functions.label(a), "a");
    }

    #[test]
    fn only_unused_functions_are_forgotten() {
        let mut functions = Functions::default();
        let kept = functions.begin_use(b"kept", "kept");
        let mut forgotten = Vec::new();
        for n in 0..3 * IDLE_LIMIT {
            let id = functions.begin_use(&n.to_le_bytes(), "many");
            forgotten.extend(functions.end_use(id));
        }
        assert_eq!(forgotten.len(), 2 * IDLE_LIMIT);
        assert!(functions.bytes(kept).is_some());
        assert!(forgotten.iter().all(|&id| functions.bytes(id).is_none()));
    }

    #[test]
    fn a_large_function_goes_with_its_last_job() {
        let mut functions = Functions::default();
        let large = vec![0; IDLE_BYTES + 1];
        let id = functions.begin_use(&large, "large");
        assert_eq!(functions.begin_use(&large, "large"), id);
        assert_eq!(functions.end_use(id), None);
        assert_eq!(functions.end_use(id), Some(id));
        assert!(functions.bytes(id).is_none());
    }

    #[test]
    fn using_a_function_again_and_again_does_not_crowd_the_table() {
        let mut functions = Functions::default();
        for _ in 0..10 * IDLE_LIMIT {
            let id = functions.begin_use(b"same", "same");
            assert_eq!(functions.end_use(id), None);
        }
        assert_eq!(functions.idle.len(), 1);
    }
}
