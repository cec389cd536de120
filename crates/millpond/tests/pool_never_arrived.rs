//! What becomes of handles in the arguments of tasks whose workers never came to open them.

#[path = "support/memories.rs"]
mod memories;
#[path = "support/stubborn.rs"]
mod stubborn;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use memories::{large, memories};
use millpond::sync::SharedSlice;
use millpond::{ErrorKind, Pool, Sender};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stubborn::Stubborn;
use watchdog::Watchdog;

millpond::init_before_main!();

/// Another process that decodes it ends at once, if it is to.
struct Deadly(bool);

impl Serialize for Deadly {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.0, std::process::id()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (is_deadly, here): (bool, u32) = Deserialize::deserialize(from)?;
        if is_deadly && here != std::process::id() {
            std::process::exit(3);
        }
        Ok(Self(is_deadly))
    }
}

/// Waits until there are `expected` memories, which is when the supervisor has settled a death.
/// Making a large one frees those that have arrived.
fn until_memories_are(expected: usize) {
    while {
        drop(large());
        memories() != expected
    } {
        thread::sleep(Duration::from_millis(5));
    }
}

fn sum(slice: &SharedSlice<u64>) -> u64 {
    slice.to_vec().iter().sum()
}

// The only test of this program: it counts what is open.
#[test]
fn nothing_is_kept_for_who_died_before_it_came() {
    let _watchdog = Watchdog::start();
    let before = memories();
    let pool = Pool::new(2).unwrap();

    // The worker dies before it opens the handle.
    let behind = |(_, slice): (Deadly, SharedSlice<u64>)| sum(&slice);
    let error = pool.spawn(behind, (Deadly(true), large())).join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    until_memories_are(before);

    // The same with a channel's end: the other one is told.
    let (sender, receiver) = millpond::channel::<u64>().unwrap();
    let lost = |(_, sender): (Deadly, Sender<u64>)| sender.send(1).unwrap();
    pool.spawn(lost, (Deadly(true), sender)).join().unwrap_err();
    assert!(receiver.recv().unwrap().is_none());
    drop(receiver);
    until_memories_are(before);

    // It dies between two handles to the same memory: one is taken back, and another task's is not.
    let slice = large();
    let between = |(first, _, second): (SharedSlice<u64>, Deadly, SharedSlice<u64>)| {
        thread::sleep(Duration::from_millis(20));
        sum(&first) + sum(&second)
    };
    let items = (0..8).map(|n| (slice.clone(), Deadly(n == 3), slice.clone()));
    let sums: Vec<_> = pool.map_iter(between, items).collect();
    drop(slice);
    for (n, sum) in sums.into_iter().enumerate() {
        match sum {
            Ok(sum) => assert_eq!(sum, 0),
            Err(error) => assert_eq!((n, error.kind()), (3, ErrorKind::Crashed)),
        }
    }
    until_memories_are(before);

    // In a chunk: some items have arrived, one dies between its handles, others never come.
    let items = (0..6).map(|n| (large(), Deadly(n == 3), large()));
    assert_eq!(pool.chunk_size(6).map(between, items).unwrap_err().kind(), ErrorKind::Crashed);
    until_memories_are(before);

    // An item that does not encode takes the handles before it along.
    let refused = |(slice, _): (SharedSlice<u64>, Stubborn)| sum(&slice);
    pool.map(refused, [(large(), Stubborn)]).unwrap_err();
    until_memories_are(before);

    // What a worker has not begun when the pool ends.
    let nap = |_: SharedSlice<u64>| thread::sleep(Duration::from_secs(3600));
    let naps = pool.spawn_map(nap, (0..20).map(|_| large()));
    let (sender, receiver) = millpond::channel::<u64>().unwrap();
    let unheard = pool.spawn(|sender: Sender<u64>| sender.send(1).unwrap(), sender);
    pool.terminate();
    pool.join().unwrap();
    assert!(receiver.recv().unwrap().is_none());
    drop((naps, unheard, receiver));
    until_memories_are(before);

    // A pool that takes nothing.
    pool.spawn(nap, large()).join().unwrap_err();
    until_memories_are(before);
}
