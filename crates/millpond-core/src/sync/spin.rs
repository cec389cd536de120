//! Adaptive spinning before a sleep: the budget, 2 to 60 µs, follows how recent spins ended.
//!
//! A wake-up costs some 40 µs on a virtual machine and a spinning reader sees a store after
//! 0.1 µs, so a short spin wins whenever the answer is near and a core is free. It loses when the
//! spinner keeps others, perhaps the very process it waits for, from running. Two signs tell:
//!
//! - *it did not pay*: the budget ran out. The budget is halved; it doubles when spinning pays.
//! - *the machine is full*: a `sched_yield` took long, so another process ran on this core.
//!   Spinning stops at once and is tried again only now and then, ever more rarely.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const LONGEST: Duration = Duration::from_micros(60);
const SHORTEST: Duration = Duration::from_micros(2);
/// How long to spin between two offers of the core to others.
const BETWEEN_YIELDS: Duration = Duration::from_micros(5);
/// A yield that took longer than this let another thread run.
const YIELD_THRESHOLD: Duration = Duration::from_micros(15);
const FIRST_PROBE: u32 = 16;
const RAREST_PROBE: u32 = 1024;

/// One waiter's memory of whether spinning paid.
#[derive(Clone, Debug)]
pub struct Spin {
    budget: Duration,
    /// Waits to go until a full budget is tried again.
    until_probe: u32,
    probe_interval: u32,
    crowded: bool,
}

impl Default for Spin {
    fn default() -> Self {
        Self {
            budget: LONGEST,
            until_probe: FIRST_PROBE,
            probe_interval: FIRST_PROBE,
            crowded: false,
        }
    }
}

impl Spin {
    /// Spins until `ready` says so or the budget is spent; returns what `ready` said last.
    pub(crate) fn until(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        if single_core() {
            return false;
        }
        let Some(budget) = self.next_budget() else {
            return false;
        };
        let start = Instant::now();
        let mut offered = start;
        loop {
            for _ in 0..16 {
                std::hint::spin_loop();
                if ready() {
                    self.paid();
                    return true;
                }
            }
            let now = Instant::now();
            if now - start > budget {
                self.unpaid();
                return ready();
            }
            if now - offered > BETWEEN_YIELDS {
                rustix::thread::sched_yield();
                offered = Instant::now();
                if offered - now > YIELD_THRESHOLD {
                    self.full_machine();
                    return ready();
                }
            }
        }
    }

    fn next_budget(&mut self) -> Option<Duration> {
        if self.crowded || self.budget < LONGEST {
            self.until_probe = self.until_probe.saturating_sub(1);
            if self.until_probe == 0 {
                self.until_probe = self.probe_interval;
                return Some(LONGEST);
            }
        }
        (!self.crowded).then_some(self.budget)
    }

    fn paid(&mut self) {
        self.crowded = false;
        self.probe_interval = FIRST_PROBE;
        self.budget = (self.budget * 2).min(LONGEST);
    }

    fn unpaid(&mut self) {
        self.budget = (self.budget / 2).max(SHORTEST);
    }

    fn full_machine(&mut self) {
        self.crowded = true;
        self.probe_interval = (self.probe_interval * 2).min(RAREST_PROBE);
        self.until_probe = self.probe_interval;
    }
}

/// Calls `wait` with the calling thread's own memory of whether spinning paid, for waits on objects
/// that many threads share.
pub(crate) fn with_thread_spin<R>(wait: impl FnOnce(&mut Spin) -> R) -> R {
    thread_local! {
        static SPIN: Cell<Option<Spin>> = const { Cell::new(None) };
    }
    // A wait within a wait starts with a fresh memory, and one while the thread ends has none.
    let mut spin = SPIN.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = wait(&mut spin);
    let _ = SPIN.try_with(|kept| kept.set(Some(spin)));
    result
}

/// Whether spinning could only keep the awaited from running.
fn single_core() -> bool {
    // Not a OnceLock: a fork while another thread initialises it would leave the child waiting.
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    const UNKNOWN: u8 = 0;
    const SINGLE: u8 = 1;
    const SEVERAL: u8 = 2;
    // Relaxed: the value stands for itself, and every thread computes the same one.
    let mut known = KNOWN.load(Ordering::Relaxed);
    if known == UNKNOWN {
        let cpus = rustix::thread::sched_getaffinity(None);
        known = if cpus.is_ok_and(|cpus| cpus.count() <= 1) { SINGLE } else { SEVERAL };
        KNOWN.store(known, Ordering::Relaxed);
    }
    known == SINGLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_shrinks_when_spinning_does_not_pay_and_recovers_when_it_does() {
        let mut spin = Spin::default();
        spin.unpaid();
        spin.unpaid();
        assert_eq!(spin.budget, LONGEST / 4);
        spin.paid();
        assert_eq!(spin.budget, LONGEST / 2);
    }

    #[test]
    fn on_a_full_machine_only_probes_spin() {
        let mut spin = Spin::default();
        spin.full_machine();
        let tries = (0..2 * FIRST_PROBE).filter(|_| spin.next_budget().is_some()).count();
        assert_eq!(tries, 1);
        spin.paid();
        assert!(spin.next_budget().is_some());
    }

    #[test]
    fn a_condition_that_holds_is_seen_without_spinning() {
        assert!(Spin::default().until(|| true));
    }
}
