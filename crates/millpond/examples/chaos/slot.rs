//! What is known of a role beyond the life of its process: a few words of shared memory.

use std::sync::atomic::{AtomicU64, Ordering};

use millpond::sync::SharedSlice;
use serde::{Deserialize, Serialize};

const SLOTS: usize = 16;
const WORDS: usize = 8;
/// The word before all slots: which exit is open.
const PHASE: usize = SLOTS * WORDS;

/// A role's place. Each word is written by the role alone, and read by the director.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Slot {
    slots: SharedSlice<u64>,
    pub(crate) number: usize,
}

impl Slot {
    /// The slots of a new slots.
    pub(crate) fn all() -> millpond::Result<impl Iterator<Item = Self>> {
        let slots = SharedSlice::zeroed(PHASE + 1)?;
        Ok((0..SLOTS).map(move |number| Self { slots: slots.clone(), number }))
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        &self.slots.as_atomics()[self.number * WORDS + word]
    }

    /// 0 while the run goes on; then the number of the exit, which selects the roles that leave.
    pub(crate) fn phase(&self) -> u64 {
        self.slots.as_atomics()[PHASE].load(Ordering::Acquire)
    }

    pub(crate) fn begin_phase(&self, phase: u64) {
        self.slots.as_atomics()[PHASE].store(phase, Ordering::Release);
    }

    /// How often the role has made progress.
    pub(crate) fn beats(&self) -> u64 {
        self.word(0).load(Ordering::Relaxed)
    }

    pub(crate) fn beat(&self) {
        self.word(0).fetch_add(1, Ordering::Relaxed);
    }

    /// What the role is about to do or has in hand; the scenario says what it means.
    pub(crate) fn state(&self) -> u64 {
        self.word(1).load(Ordering::SeqCst)
    }

    pub(crate) fn set_state(&self, state: u64) {
        // SeqCst: in its place among what the role does, whatever the compiler makes of the rest.
        self.word(1).store(state, Ordering::SeqCst);
    }

    /// One of the scenario's own numbers of this slot, 0 to 5.
    pub(crate) fn note(&self, note: usize) -> u64 {
        self.word(2 + note).load(Ordering::SeqCst)
    }

    pub(crate) fn set_note(&self, note: usize, value: u64) {
        self.word(2 + note).store(value, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, note: usize) {
        self.word(2 + note).fetch_add(1, Ordering::SeqCst);
    }
}
