//! What is known of a role beyond the life of its process: a few words of shared memory.

use std::sync::atomic::{AtomicU64, Ordering};

use millpond::sync::SharedSlice;
use serde::{Deserialize, Serialize};

const SEATS: usize = 16;
const WORDS: usize = 8;
/// The word before all seats: which exit is open.
const ACT: usize = SEATS * WORDS;

/// A role's place. Each word is written by the role alone, and read by the director.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Seat {
    board: SharedSlice<u64>,
    pub(crate) number: usize,
}

impl Seat {
    /// The seats of a new board.
    pub(crate) fn all() -> millpond::Result<impl Iterator<Item = Self>> {
        let board = SharedSlice::zeroed(ACT + 1)?;
        Ok((0..SEATS).map(move |number| Self { board: board.clone(), number }))
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        &self.board.as_atomics()[self.number * WORDS + word]
    }

    /// 0 while the play goes on; then the number of the exit, which selects the roles that leave.
    pub(crate) fn act(&self) -> u64 {
        self.board.as_atomics()[ACT].load(Ordering::Acquire)
    }

    pub(crate) fn announce(&self, act: u64) {
        self.board.as_atomics()[ACT].store(act, Ordering::Release);
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

    /// One of the scenario's own numbers of this seat, 0 to 5.
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
