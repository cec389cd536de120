//! Accounts of items that go through a channel, as tests/chaos/ledger.py has them: what was
//! committed arrives once, unless a killed consumer took it along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::slot::Slot;

/// The state of a consumer from before it gets until it has written down what it got.
pub(crate) const GETTING: u64 = 1;
// A producer's notes: the last number that it tried to put, and the last whose put returned.
const TRIED: usize = 0;
const DONE: usize = 1;

/// Writes down that the producer puts its next numbers; the first of them.
pub(crate) fn put_begins(slot: &Slot, count: u64) -> u64 {
    let first = slot.note(TRIED) + 1;
    slot.set_note(DONE, first - 1);
    slot.set_note(TRIED, first - 1 + count);
    first
}

pub(crate) fn put_returned(slot: &Slot) {
    slot.set_note(DONE, slot.note(TRIED));
    slot.beat();
}

/// Where consumers write down what they got: a kill cannot take back what is in a file.
pub(crate) struct Book(File);

impl Book {
    pub(crate) fn open(path: &str) -> Self {
        Self(OpenOptions::new().append(true).open(path).expect("the director made it"))
    }

    pub(crate) fn arrived(&mut self, slot: &Slot, items: &[(u64, u64)]) {
        let mut records = Vec::with_capacity(items.len() * 24);
        for &(producer, number) in items {
            for word in [slot.number as u64, producer, number] {
                records.extend_from_slice(&word.to_ne_bytes());
            }
        }
        // One call: records of several consumers do not mix.
        self.0.write_all(&records).expect("room on the disk");
        slot.set_state(0);
        slot.beat();
    }
}

/// The result of an audit.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) arrived: u64,
    pub(crate) excused: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) faults: Vec<String>,
}

pub(crate) struct Ledger {
    path: PathBuf,
    uncertain: BTreeSet<(u64, u64)>,
    may_be_missing: u64,
}

impl Ledger {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chaos-{}-{name}", std::process::id()));
        File::create(&path).expect("a file for what arrives");
        Self { path, uncertain: BTreeSet::new(), may_be_missing: 0 }
    }

    pub(crate) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Settles what a death leaves open; `most` is what one call of a consumer may get.
    pub(crate) fn killed(&mut self, slot: &Slot, most: u64) {
        let unsettled = slot.note(DONE) + 1..=slot.note(TRIED);
        self.uncertain.extend(unsettled.map(|number| (slot.number as u64, number)));
        if slot.state() == GETTING {
            self.may_be_missing += most;
            slot.set_state(0);
        }
    }

    /// Compares what was put with what arrived, once no role works any more.
    pub(crate) fn audit(&self, producers: &[Slot]) -> Account {
        let content = fs::read(&self.path).expect("it was made");
        let mut account = Account::default();
        let mut times: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        let mut last: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for record in content.chunks_exact(24) {
            let word = |index: usize| {
                u64::from_ne_bytes(record[index * 8..][..8].try_into().expect("eight bytes"))
            };
            let (consumer, producer, number) = (word(0), word(1), word(2));
            *times.entry((producer, number)).or_default() += 1;
            let before = last.insert((consumer, producer), number);
            if before.is_some_and(|before| number <= before) {
                account.faults.push(format!("{producer}'s item {number} came too late"));
            }
        }
        account.arrived = times.values().sum();
        account.doubled = times.values().map(|count| count - 1).sum();
        let tried = |&(producer, number): &(u64, u64)| {
            producers
                .iter()
                .any(|slot| slot.number as u64 == producer && number <= slot.note(TRIED))
        };
        let invented = times.keys().filter(|item| !tried(item)).count();
        if invented > 0 {
            account.faults.push(format!("{invented} items arrived that nobody had put"));
        }
        let missing: u64 = producers
            .iter()
            .map(|slot| {
                let producer = slot.number as u64;
                let items = (1..=slot.note(TRIED)).map(|number| (producer, number));
                items
                    .filter(|item| !times.contains_key(item) && !self.uncertain.contains(item))
                    .count() as u64
            })
            .sum();
        account.excused = missing.min(self.may_be_missing);
        account.lost = missing - account.excused;
        account
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
