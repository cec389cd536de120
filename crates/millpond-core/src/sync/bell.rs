//! The bell: an event count in one word of shared memory. A notifier (*ringer*) adds to the count;
//! a waiter notes the count, checks its condition, and sleeps until the count changes.
//!
//! Three low bits say which kinds of waiter to wake, the other bits count the rings:
//!
//! ```text
//! SLEEPER  a thread sleeps on the word and wants every ring
//! DOZER    a thread sleeps on the word and wants the loud rings only
//! WATCHER  a thread in epoll wants the loud rings, through its eventfd
//!
//! waiter                                 ringer
//!   seen = listen()                        publish the news (release store)
//!   look for news; found: done             old = fetch_add(RING)
//!   spin while the count is seen's         clear the flags that this ring is for:
//!   set SLEEPER if the word is still seen    SLEEPER or DOZER: futex wake
//!   futex wait for that value                WATCHER: signal the eventfd
//! ```
//!
//! News published before `listen` is found by the look; news published after it changes the count,
//! so the sleeper's compare-exchange or the kernel's compare fails. Nothing is lost, and a ring
//! costs one atomic instruction unless somebody sleeps. A dozer sets its flag first, looks, and
//! sleeps as long as the flag stands: a loud ring before the look is found by it, one after it
//! clears the flag. There is no handshake: a sleeper that is killed leaves a bit behind that costs
//! one futile wake. A ringer that is killed between the count and the wake leaves the sleeper
//! asleep; the pool's supervisor learns of that death and rings again.

use std::time::Duration;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::sync::atomic::{AtomicU32, Ordering, wait, wake};
use crate::sync::spin::Spin;

const SLEEPER: u32 = 1;
const DOZER: u32 = 2;
const WATCHER: u32 = 4;
const FLAGS: u32 = SLEEPER | DOZER | WATCHER;
const RING: u32 = 8;

/// The event count; all zero is a valid new one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Bell(AtomicU32);

/// The count of a [`Bell`] when [`listen`](Bell::listen) was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u32);

/// Which waiters a ring wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Sleepers alone: waiters that want every ring.
    Quiet,
    /// Sleepers, dozers and the watcher.
    Loud,
}

impl Bell {
    /// The count to compare with later. Look for news after this, then [`wait`](Self::wait).
    #[must_use]
    pub fn listen(&self) -> Count {
        // Acquire: what ringers published before the counted rings is visible to the look.
        Count(self.0.load(Ordering::Acquire) & !FLAGS)
    }

    /// Whether it was rung since `seen`.
    #[must_use]
    pub fn rung_since(&self, seen: Count) -> bool {
        self.listen() != seen
    }

    /// Counts a ring and wakes those whom it is for. True if that includes the watcher: then the
    /// caller owes it the signal.
    #[must_use = "true means that the watcher must be signalled"]
    pub fn ring(&self, loudness: Loudness) -> bool {
        // AcqRel: the release publishes the news to `listen`; the acquire keeps the look at the
        // flags behind the count.
        let old = self.0.fetch_add(RING, Ordering::AcqRel);
        let hearers = match loudness {
            Loudness::Quiet => old & SLEEPER,
            Loudness::Loud => old & FLAGS,
        };
        if hearers == 0 {
            return false;
        }
        crash_point!("bell: counted, before wake");
        // Relaxed: the flags guard no data. The ringer that clears a flag does its wake-up.
        let hearers = self.0.fetch_and(!hearers, Ordering::Relaxed) & hearers;
        if hearers & (SLEEPER | DOZER) != 0 {
            wake(&self.0, u32::MAX);
        }
        hearers & WATCHER != 0
    }

    /// Waits until the bell is rung after `seen`: spins as `spin` thinks fit, then sleeps for at
    /// most `timeout`.
    pub fn wait(&self, seen: Count, spin: &mut Spin, timeout: Option<Duration>) -> Woken {
        self.wait_with(seen, spin, Woken::Changed, |word, value| wait(word, value, timeout))
    }

    /// The same; `sleep` is to sleep while the word has the value, and its result is that of this, which
    /// is `rung` if there is nothing to sleep for.
    pub(crate) fn wait_with<R>(
        &self,
        seen: Count,
        spin: &mut Spin,
        rung: R,
        sleep: impl FnOnce(&AtomicU32, u32) -> R,
    ) -> R {
        if spin.until(|| self.rung_since(seen)) {
            return rung;
        }
        let word = self.0.load(Ordering::Relaxed);
        if word & !FLAGS != seen.0 {
            return rung;
        }
        let asleep = word | SLEEPER;
        // Relaxed: a failed exchange goes back to `listen`, which acquires.
        if self.0.compare_exchange(word, asleep, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return rung;
        }
        crash_point!("bell: before sleep");
        sleep(&self.0, asleep)
    }

    /// Says that the caller is about to [`doze`](Self::doze). Look for news between the two.
    pub fn nod(&self) {
        // AcqRel: the look comes after this, and a ringer that saw no flag came before it.
        self.0.fetch_or(DOZER, Ordering::AcqRel);
    }

    /// Sleeps until a loud ring after [`nod`](Self::nod), or until `until`.
    pub fn doze(&self, until: Instant) -> Woken {
        loop {
            let word = self.0.load(Ordering::Relaxed);
            if word & DOZER == 0 {
                return Woken::Changed;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Woken::TimedOut;
            }
            if let Woken::Interrupted = wait(&self.0, word, Some(left)) {
                return Woken::Interrupted;
            }
        }
    }

    /// Asks for the watcher to be told of the next loud ring. Look for news afterwards.
    pub fn watch(&self) {
        if self.0.load(Ordering::Relaxed) & WATCHER == 0 {
            // AcqRel: as in `nod`.
            self.0.fetch_or(WATCHER, Ordering::AcqRel);
        }
    }

    /// Takes [`watch`](Self::watch) back.
    pub(crate) fn unwatch(&self) {
        if self.0.load(Ordering::Relaxed) & WATCHER != 0 {
            // Relaxed: the flag guards no data.
            self.0.fetch_and(!WATCHER, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_ring_after_listening_is_never_missed() {
        let (bell, news) = (Arc::new(Bell::default()), Arc::new(AtomicU32::new(0)));
        let ringer = std::thread::spawn({
            let (bell, news) = (Arc::clone(&bell), Arc::clone(&news));
            move || {
                for _ in 0..20_000 {
                    news.fetch_add(1, Ordering::Release);
                    assert!(!bell.ring(Loudness::Loud));
                }
            }
        });
        let mut spin = Spin::default();
        loop {
            let seen = bell.listen();
            if news.load(Ordering::Acquire) == 20_000 {
                break;
            }
            bell.wait(seen, &mut spin, None);
        }
        ringer.join().expect("the ringer does not panic");
    }

    #[test]
    fn the_watcher_is_told_once_and_of_loud_rings_only() {
        let bell = Bell::default();
        bell.watch();
        assert!(!bell.ring(Loudness::Quiet));
        assert!(bell.ring(Loudness::Loud));
        assert!(!bell.ring(Loudness::Loud));
        bell.watch();
        bell.unwatch();
        assert!(!bell.ring(Loudness::Loud));
    }

    #[test]
    fn all_sleepers_wake() {
        let bell = Arc::new(Bell::default());
        let done = Arc::new(AtomicBool::new(false));
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                let (bell, done) = (Arc::clone(&bell), Arc::clone(&done));
                std::thread::spawn(move || {
                    loop {
                        let seen = bell.listen();
                        if done.load(Ordering::Acquire) {
                            return;
                        }
                        bell.wait(seen, &mut Spin::default(), None);
                    }
                })
            })
            .collect();
        done.store(true, Ordering::Release);
        assert!(!bell.ring(Loudness::Loud));
        for sleeper in sleepers {
            sleeper.join().expect("a sleeper does not panic");
        }
    }

    #[test]
    fn a_dozer_sleeps_through_quiet_rings() {
        let bell = Arc::new(Bell::default());
        let far = Instant::now() + Duration::from_secs(600);
        bell.nod();
        assert!(!bell.ring(Loudness::Quiet));
        assert_eq!(bell.doze(Instant::now()), Woken::TimedOut);
        let dozer = std::thread::spawn({
            let bell = Arc::clone(&bell);
            move || bell.doze(far)
        });
        assert!(!bell.ring(Loudness::Quiet));
        assert!(!bell.ring(Loudness::Loud));
        assert_eq!(dozer.join().expect("no panic"), Woken::Changed);
    }
}
