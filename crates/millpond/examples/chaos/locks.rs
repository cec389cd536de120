//! Mutexes, locks and semaphores whose holders are killed.

use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Mutex, Semaphore, SharedSlice};
use serde::{Deserialize, Serialize};

use crate::runner::{Killed, Outcome, Part, Role, Scenario};
use crate::slot::Slot;

const USERS: usize = 4;
const PERMITS: u32 = 2;
// States. A user that is killed while it acquires may have been told of a death before it.
const ACQUIRING: u64 = 1;
const HOLDING: u64 = 2;
const RELEASING: u64 = 3;
/// A user's note: how often it was told that the owner had died.
const TOLD: usize = 0;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum LockPart {
    Mutex(Mutex<[u64]>),
    ReentrantLock { outer: ReentrantLock, counters: SharedSlice<u64> },
    Semaphore { semaphore: Semaphore, inside: Lock, count: SharedSlice<u64> },
}

impl LockPart {
    pub(crate) fn run(self, slot: &Slot) {
        while slot.phase() == 0 {
            slot.set_state(ACQUIRING);
            match &self {
                Self::Mutex(counters) => use_mutex(counters, slot),
                Self::ReentrantLock { outer, counters } => use_rlock(outer, counters, slot),
                Self::Semaphore { semaphore, inside, count } => {
                    use_semaphore(semaphore, inside, count, slot);
                }
            }
            slot.set_state(0);
            slot.beat();
        }
    }
}

/// Counters that are equal, unless a death was told.
fn use_mutex(counters: &Mutex<[u64]>, slot: &Slot) {
    let mut guard = counters.lock().unwrap_or_else(|poisoned| {
        assert!(poisoned.owner_died());
        let mut guard = poisoned.into_inner();
        guard[1] = guard[0];
        slot.count(TOLD);
        guard
    });
    slot.set_state(HOLDING);
    assert_eq!(guard[0], guard[1], "half changed, and no death was told");
    guard[0] += 1;
    linger(slot);
    guard[1] += 1;
    slot.set_state(RELEASING);
}

fn use_rlock(lock: &ReentrantLock, counters: &SharedSlice<u64>, slot: &Slot) {
    let outer = lock.lock().unwrap_or_else(|poisoned| {
        counters.store(1, counters.load(0));
        slot.count(TOLD);
        poisoned.into_inner()
    });
    let inner = lock.lock().expect("this thread holds it");
    slot.set_state(HOLDING);
    assert_eq!(counters.load(0), counters.load(1), "half changed, and no death was told");
    counters.store(0, counters.load(0) + 1);
    linger(slot);
    counters.store(1, counters.load(1) + 1);
    slot.set_state(RELEASING);
    drop(inner);
    drop(outer);
}

/// No more roles are inside than there are permits. Only the living are counted: each role marks
/// its own place, and the director wipes the marks of the dead.
fn use_semaphore(semaphore: &Semaphore, turn: &Lock, inside: &SharedSlice<u64>, slot: &Slot) {
    let permit = semaphore.acquire().unwrap();
    slot.set_state(HOLDING);
    inside.store(slot.number, u64::from(std::process::id()));
    {
        let _turn = turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let there: Vec<_> = (0..inside.len()).map(|i| inside.load(i)).collect();
        let living = there.iter().filter(|&&pid| pid != 0 && lives(pid)).count();
        let again: Vec<_> = (0..inside.len()).map(|i| inside.load(i)).collect();
        assert!(living <= PERMITS as usize || there != again, "{there:?} are inside");
    }
    inside.store(slot.number, 0);
    slot.set_state(RELEASING);
    drop(permit);
}

/// A little work, of a length that differs.
fn linger(slot: &Slot) {
    (0..slot.beats() % 200).for_each(|number| {
        std::hint::black_box(number);
    });
}

/// Whether a process is there and no zombie.
fn lives(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn killed_in(killed: &Killed, state: u64) -> u64 {
    killed.get(&("user", state)).copied().unwrap_or(0)
}

/// The news of a death comes with the guard, so that it is told once for each holder: it is lost
/// only if the holder that was told dies while it holds the lock, and then that death is told.
fn check_deaths(roles: &[Role], killed: &Killed, outcome: &mut Outcome) {
    let told: u64 = roles.iter().map(|role| role.slot.note(TOLD)).sum();
    let holders = killed_in(killed, HOLDING);
    let unclear = killed_in(killed, ACQUIRING) + killed_in(killed, RELEASING);
    outcome.remarks.extend([("holders killed", holders), ("told", told)]);
    if told > holders + unclear {
        outcome.faults.push(format!("{told} deaths told, at most {} happened", holders + unclear));
    }
    if told + killed_in(killed, ACQUIRING) < holders {
        outcome.faults.push(format!("{holders} holders were killed, {told} deaths told"));
    }
}

fn cast_users(scenario: &mut Scenario, count: usize, part: LockPart) {
    for _ in 0..count {
        scenario.start_role("user", Part::Lock(part.clone()), 1);
    }
}

pub(crate) fn mutex() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("mutex")?;
    cast_users(&mut scenario, USERS, LockPart::Mutex(Mutex::zeroed(2)?));
    scenario.check = Box::new(check_deaths);
    Ok(scenario)
}

pub(crate) fn rlock() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("rlock")?;
    let part =
        LockPart::ReentrantLock { outer: ReentrantLock::new()?, counters: SharedSlice::zeroed(2)? };
    cast_users(&mut scenario, USERS, part);
    scenario.check = Box::new(check_deaths);
    Ok(scenario)
}

pub(crate) fn semaphore() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("semaphore")?;
    let semaphore = Semaphore::bounded(PERMITS)?;
    let count = SharedSlice::zeroed(USERS + 1)?;
    let part = LockPart::Semaphore {
        semaphore: semaphore.clone(),
        inside: Lock::new()?,
        count: count.clone(),
    };
    cast_users(&mut scenario, USERS + 1, part);
    scenario.on_kill = Box::new(move |role| count.store(role.slot.number, 0));
    scenario.check = Box::new(move |_, killed, outcome| {
        outcome.remarks.push(("holders killed", killed_in(killed, HOLDING)));
        // Those of the dead come back within a look of 50 ms.
        let permits: Vec<_> = (0..PERMITS)
            .filter_map(|_| semaphore.acquire_timeout(std::time::Duration::from_secs(30)).unwrap())
            .collect();
        if permits.len() != PERMITS as usize {
            outcome.faults.push(format!("{} of {PERMITS} permits are left", permits.len()));
        }
        if semaphore.try_acquire().unwrap().is_some() {
            outcome.faults.push("there are more permits than at first".to_owned());
        }
    });
    Ok(scenario)
}
