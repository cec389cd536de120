//! `EventCount`, in one word of shared memory. A notifier adds to the count; a waiter notes the
//! count, checks its condition, and sleeps until the count changes.
//!
//! Three low bits say which kinds of waiter to wake, the other bits count the notifications:
//!
//! ```text
//! SLEEPER       a thread sleeps on the word and wants every notification
//! BATCH_WAITER  a thread sleeps on the word and wants the notifications for all only
//! WATCHER       a thread in epoll wants the notifications for all, through its eventfd
//!
//! waiter                                 notifier
//!   seen = listen()                        publish the news (release store)
//!   look for news; found: done             old = fetch_add(NOTIFICATION)
//!   spin while the count is seen's         clear the flags that this notification is for:
//!   set SLEEPER if the word is still seen    SLEEPER or BATCH_WAITER: futex wake
//!   futex wait for that value                WATCHER: signal the eventfd
//! ```
//!
//! News published before `listen` is found by the look; news published after it changes the count,
//! so the sleeper's compare-exchange or the kernel's compare fails. Nothing is lost, and a
//! notification costs one atomic instruction unless a thread sleeps. A batch waiter sets its flag
//! first, looks, and sleeps as long as the flag stands: the look finds what was published before,
//! and a notification for all after the look clears the flag. There is no handshake: a sleeper that
//! is killed leaves a bit behind that costs one futile wake. A notifier that is killed between the
//! count and the wake leaves the sleeper asleep; the pool's supervisor learns of that death and
//! notifies again.

use std::time::Duration;

use crate::crash::crash_point;
use crate::os::clock::Instant;
use crate::os::futex::Woken;
use crate::sync::atomic::{AtomicU32, Ordering, wait, wake};
use crate::sync::spin::Spin;

const SLEEPER: u32 = 1;
const BATCH_WAITER: u32 = 2;
const WATCHER: u32 = 4;
const FLAGS: u32 = SLEEPER | BATCH_WAITER | WATCHER;
const NOTIFICATION: u32 = 8;

/// The event count; all zero is a valid new one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct EventCount(AtomicU32);

/// The count of an [`EventCount`] when [`listen`](EventCount::listen) was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u32);

/// Which waiters a notification wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Sleepers alone: waiters that want every notification.
    Eager,
    /// Sleepers, batch waiters and the watcher.
    All,
}

impl EventCount {
    /// The count to compare with later. Look for news after this, then [`wait`](Self::wait).
    #[must_use]
    pub fn listen(&self) -> Count {
        // Acquire: what notifiers published before the counted notifications is visible to the look.
        Count(self.0.load(Ordering::Acquire) & !FLAGS)
    }

    /// Whether there was a notification since `seen`.
    #[must_use]
    pub fn notified_since(&self, seen: Count) -> bool {
        self.listen() != seen
    }

    /// Counts a notification and wakes the waiters that it is for. True if that includes the
    /// watcher: then the caller owes it the signal.
    #[must_use = "true means that the watcher must be signalled"]
    pub fn notify(&self, notify: Notify) -> bool {
        // AcqRel: the release publishes the news to `listen`; the acquire keeps the look at the
        // flags behind the count.
        let old = self.0.fetch_add(NOTIFICATION, Ordering::AcqRel);
        let waiters = match notify {
            Notify::Eager => old & SLEEPER,
            Notify::All => old & FLAGS,
        };
        if waiters == 0 {
            return false;
        }
        crash_point!("event count: counted, before wake");
        // Relaxed: the flags guard no data. The notifier that clears a flag does its wake-up.
        let waiters = self.0.fetch_and(!waiters, Ordering::Relaxed) & waiters;
        if waiters & (SLEEPER | BATCH_WAITER) != 0 {
            wake(&self.0, u32::MAX);
        }
        waiters & WATCHER != 0
    }

    /// Waits for a notification after `seen`: spins as `spin` thinks fit, then sleeps for at most
    /// `timeout`.
    pub fn wait(&self, seen: Count, spin: &mut Spin, timeout: Option<Duration>) -> Woken {
        self.wait_with(seen, spin, Woken::Changed, |word, value| wait(word, value, timeout))
    }

    /// The same; `sleep` is to sleep while the word has the value, and its result is that of this,
    /// which is `notified` if there is nothing to sleep for.
    pub fn wait_with<R>(
        &self,
        seen: Count,
        spin: &mut Spin,
        notified: R,
        sleep: impl FnOnce(&AtomicU32, u32) -> R,
    ) -> R {
        if spin.until(|| self.notified_since(seen)) {
            return notified;
        }
        let word = self.0.load(Ordering::Relaxed);
        if word & !FLAGS != seen.0 {
            return notified;
        }
        let asleep = word | SLEEPER;
        // Relaxed: a failed exchange goes back to `listen`, which acquires.
        if self.0.compare_exchange(word, asleep, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return notified;
        }
        crash_point!("event count: before sleep");
        sleep(&self.0, asleep)
    }

    /// Says that the caller is about to [`batch_wait`](Self::batch_wait). Look for news between the
    /// two.
    pub fn prepare_batch_wait(&self) {
        // AcqRel: the look comes after this, and a notifier that saw no flag came before it.
        self.0.fetch_or(BATCH_WAITER, Ordering::AcqRel);
    }

    /// Sleeps until a notification for all after [`prepare_batch_wait`](Self::prepare_batch_wait),
    /// or until `until`.
    pub fn batch_wait(&self, until: Instant) -> Woken {
        loop {
            let word = self.0.load(Ordering::Relaxed);
            if word & BATCH_WAITER == 0 {
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

    /// Asks for the watcher to be told of the next notification for all. Look for news afterwards.
    pub fn watch(&self) {
        if self.0.load(Ordering::Relaxed) & WATCHER == 0 {
            // AcqRel: as in `prepare_batch_wait`.
            self.0.fetch_or(WATCHER, Ordering::AcqRel);
        }
    }

    /// Takes [`watch`](Self::watch) back.
    pub fn unwatch(&self) {
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
    fn a_notification_after_listening_is_never_missed() {
        let (event_count, news) = (Arc::new(EventCount::default()), Arc::new(AtomicU32::new(0)));
        let notifier = std::thread::spawn({
            let (event_count, news) = (Arc::clone(&event_count), Arc::clone(&news));
            move || {
                for _ in 0..20_000 {
                    news.fetch_add(1, Ordering::Release);
                    assert!(!event_count.notify(Notify::All));
                }
            }
        });
        let mut spin = Spin::default();
        loop {
            let seen = event_count.listen();
            if news.load(Ordering::Acquire) == 20_000 {
                break;
            }
            event_count.wait(seen, &mut spin, None);
        }
        notifier.join().expect("the notifier does not panic");
    }

    #[test]
    fn the_watcher_is_told_once_and_of_notifications_for_all_only() {
        let event_count = EventCount::default();
        event_count.watch();
        assert!(!event_count.notify(Notify::Eager));
        assert!(event_count.notify(Notify::All));
        assert!(!event_count.notify(Notify::All));
        event_count.watch();
        event_count.unwatch();
        assert!(!event_count.notify(Notify::All));
    }

    #[test]
    fn all_sleepers_wake() {
        let event_count = Arc::new(EventCount::default());
        let done = Arc::new(AtomicBool::new(false));
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                let (event_count, done) = (Arc::clone(&event_count), Arc::clone(&done));
                std::thread::spawn(move || {
                    loop {
                        let seen = event_count.listen();
                        if done.load(Ordering::Acquire) {
                            return;
                        }
                        event_count.wait(seen, &mut Spin::default(), None);
                    }
                })
            })
            .collect();
        done.store(true, Ordering::Release);
        assert!(!event_count.notify(Notify::All));
        for sleeper in sleepers {
            sleeper.join().expect("a sleeper does not panic");
        }
    }

    #[test]
    fn a_batch_waiter_sleeps_through_eager_notifications() {
        let event_count = Arc::new(EventCount::default());
        let far = Instant::now() + Duration::from_secs(600);
        event_count.prepare_batch_wait();
        assert!(!event_count.notify(Notify::Eager));
        assert_eq!(event_count.batch_wait(Instant::now()), Woken::TimedOut);
        let batch_waiter = std::thread::spawn({
            let event_count = Arc::clone(&event_count);
            move || event_count.batch_wait(far)
        });
        assert!(!event_count.notify(Notify::Eager));
        assert!(!event_count.notify(Notify::All));
        assert_eq!(batch_waiter.join().expect("no panic"), Woken::Changed);
    }
}
