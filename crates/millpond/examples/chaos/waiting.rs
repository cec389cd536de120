//! Conditions, events and barriers whose waiters and wakers are killed.

use std::thread::sleep;
use std::time::Duration;

use millpond::sync::{Barrier, Condvar, Event, Mutex, MutexGuard, PoisonError};
use serde::{Deserialize, Serialize};

use crate::runner::{Part, Scenario};
use crate::slot::Slot;

const WAITERS: usize = 3;
/// A note: how often the barrier was found broken, or a death was told.
const NEWS: usize = 0;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum WaitingPart {
    Wait(Mutex<u64>, Condvar),
    Notify(Mutex<u64>, Condvar),
    WaitForEvent(Event),
    SetEvent(Event),
    Meet(Barrier),
}

impl WaitingPart {
    pub(crate) fn run(self, slot: &Slot) {
        match self {
            Self::Wait(number, changed) => wait(&number, &changed, slot),
            Self::Notify(number, changed) => notify(&number, &changed, slot),
            Self::WaitForEvent(event) => {
                while slot.phase() == 0 {
                    event.wait();
                    slot.beat();
                }
            }
            Self::SetEvent(event) => {
                while slot.phase() < 2 {
                    event.set();
                    event.clear();
                    slot.beat();
                }
                event.set();
            }
            Self::Meet(barrier) => meet(&barrier, slot),
        }
    }
}

fn heard<'a>(
    slot: &Slot,
) -> impl Fn(PoisonError<MutexGuard<'a, u64>>) -> MutexGuard<'a, u64> + use<'a, '_> {
    |poisoned| {
        slot.count(NEWS);
        poisoned.into_inner()
    }
}

fn wait(number: &Mutex<u64>, changed: &Condvar, slot: &Slot) {
    let mut seen = 0;
    while slot.phase() == 0 {
        let mut guard = number.lock().unwrap_or_else(heard(slot));
        while *guard == seen {
            guard = changed.wait(guard).unwrap_or_else(heard(slot));
        }
        seen = *guard;
        drop(guard);
        slot.beat();
    }
}

fn notify(number: &Mutex<u64>, changed: &Condvar, slot: &Slot) {
    while slot.phase() < 2 {
        let mut guard = number.lock().unwrap_or_else(heard(slot));
        *guard += 1;
        if slot.beats().is_multiple_of(3) {
            changed.notify_n(WAITERS);
        } else {
            changed.notify_all();
        }
        drop(guard);
        slot.beat();
    }
}

fn meet(barrier: &Barrier, slot: &Slot) {
    while slot.phase() == 0 {
        if barrier.wait().is_err() {
            slot.count(NEWS);
            if slot.phase() != 0 {
                return;
            }
            if slot.number == 0 {
                barrier.reset();
            } else {
                // Until it is mended, every try ends at once.
                sleep(Duration::from_millis(1));
            }
            if slot.phase() != 0 {
                // It may have been mended after it was broken for good.
                barrier.abort();
            }
        }
        slot.beat();
    }
}

fn remark_news(scenario: &mut Scenario, what: &'static str) {
    scenario.check = Box::new(move |roles, _, outcome| {
        outcome.remarks.push((what, roles.iter().map(|role| role.slot.note(NEWS)).sum()));
    });
}

pub(crate) fn condvar() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("condvar")?;
    let (number, changed) = (Mutex::new(0)?, Condvar::new()?);
    for _ in 0..WAITERS {
        let part = WaitingPart::Wait(number.clone(), changed.clone());
        scenario.start_role("waiter", Part::Waiting(part), 1);
    }
    for _ in 0..2 {
        let part = WaitingPart::Notify(number.clone(), changed.clone());
        scenario.start_role("notifier", Part::Waiting(part), 2);
    }
    remark_news(&mut scenario, "told");
    Ok(scenario)
}

pub(crate) fn event() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("event")?;
    let event = Event::new()?;
    for _ in 0..WAITERS {
        scenario.start_role("waiter", Part::Waiting(WaitingPart::WaitForEvent(event.clone())), 1);
    }
    for _ in 0..2 {
        scenario.start_role("setter", Part::Waiting(WaitingPart::SetEvent(event.clone())), 2);
    }
    Ok(scenario)
}

pub(crate) fn barrier() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("barrier")?;
    let barrier = Barrier::new(3)?;
    for _ in 0..3 {
        scenario.start_role("party", Part::Waiting(WaitingPart::Meet(barrier.clone())), 1);
    }
    // The parties would wait for one that has left: they learn that there is no next crossing.
    scenario.wake = Box::new(move |_| barrier.abort());
    remark_news(&mut scenario, "broken");
    Ok(scenario)
}
