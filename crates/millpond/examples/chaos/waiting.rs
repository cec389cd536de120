//! Conditions, events and barriers whose waiters and wakers are killed.

use std::thread::sleep;
use std::time::Duration;

use millpond::sync::{Barrier, Condvar, Event, Mutex, MutexGuard, PoisonError};
use serde::{Deserialize, Serialize};

use crate::board::Seat;
use crate::stage::{Part, Scenario};

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
    pub(crate) fn play(self, seat: &Seat) {
        match self {
            Self::Wait(number, changed) => wait(&number, &changed, seat),
            Self::Notify(number, changed) => notify(&number, &changed, seat),
            Self::WaitForEvent(event) => {
                while seat.act() == 0 {
                    event.wait();
                    seat.beat();
                }
            }
            Self::SetEvent(event) => {
                while seat.act() < 2 {
                    event.set();
                    event.clear();
                    seat.beat();
                }
                event.set();
            }
            Self::Meet(barrier) => meet(&barrier, seat),
        }
    }
}

fn heard<'a>(
    seat: &Seat,
) -> impl Fn(PoisonError<MutexGuard<'a, u64>>) -> MutexGuard<'a, u64> + use<'a, '_> {
    |poisoned| {
        seat.count(NEWS);
        poisoned.into_inner()
    }
}

fn wait(number: &Mutex<u64>, changed: &Condvar, seat: &Seat) {
    let mut seen = 0;
    while seat.act() == 0 {
        let mut guard = number.lock().unwrap_or_else(heard(seat));
        while *guard == seen {
            guard = changed.wait(guard).unwrap_or_else(heard(seat));
        }
        seen = *guard;
        drop(guard);
        seat.beat();
    }
}

fn notify(number: &Mutex<u64>, changed: &Condvar, seat: &Seat) {
    while seat.act() < 2 {
        let mut guard = number.lock().unwrap_or_else(heard(seat));
        *guard += 1;
        if seat.beats().is_multiple_of(3) {
            changed.notify_n(WAITERS);
        } else {
            changed.notify_all();
        }
        drop(guard);
        seat.beat();
    }
}

fn meet(barrier: &Barrier, seat: &Seat) {
    while seat.act() == 0 {
        if barrier.wait().is_err() {
            seat.count(NEWS);
            if seat.act() != 0 {
                return;
            }
            if seat.number == 0 {
                barrier.reset();
            } else {
                // Until it is mended, every try ends at once.
                sleep(Duration::from_millis(1));
            }
            if seat.act() != 0 {
                // It may have been mended after it was broken for good.
                barrier.abort();
            }
        }
        seat.beat();
    }
}

fn remark_news(scenario: &mut Scenario, what: &'static str) {
    scenario.check = Box::new(move |roles, _, outcome| {
        outcome.remarks.push((what, roles.iter().map(|role| role.seat.note(NEWS)).sum()));
    });
}

pub(crate) fn condvar() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("condvar")?;
    let (number, changed) = (Mutex::new(0)?, Condvar::new()?);
    for _ in 0..WAITERS {
        let part = WaitingPart::Wait(number.clone(), changed.clone());
        scenario.cast("waiter", Part::Waiting(part), 1);
    }
    for _ in 0..2 {
        let part = WaitingPart::Notify(number.clone(), changed.clone());
        scenario.cast("notifier", Part::Waiting(part), 2);
    }
    remark_news(&mut scenario, "told");
    Ok(scenario)
}

pub(crate) fn event() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("event")?;
    let event = Event::new()?;
    for _ in 0..WAITERS {
        scenario.cast("waiter", Part::Waiting(WaitingPart::WaitForEvent(event.clone())), 1);
    }
    for _ in 0..2 {
        scenario.cast("setter", Part::Waiting(WaitingPart::SetEvent(event.clone())), 2);
    }
    Ok(scenario)
}

pub(crate) fn barrier() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("barrier")?;
    let barrier = Barrier::new(3)?;
    for _ in 0..3 {
        scenario.cast("party", Part::Waiting(WaitingPart::Meet(barrier.clone())), 1);
    }
    // The parties would wait for one that has left: they learn that there is no next crossing.
    scenario.wake = Box::new(move |_| barrier.abort());
    remark_news(&mut scenario, "broken");
    Ok(scenario)
}
