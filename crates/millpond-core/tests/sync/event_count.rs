//! Deaths at the steps of event counts. Whose notifier may die waits in rechecks (or notices the
//! death).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond_core::shm::shared::SharedObject;
use millpond_core::sync::event_count::{EventCount, Notify};
use millpond_core::sync::spin::Spin;

use crate::support::{Case, Child, shared, until};

pub(crate) const CASES: [Case; 2] = [
    Case { point: "event count: counted, before wake", role: "notifier", visit: notifier },
    Case { point: "event count: before sleep", role: "sleeper", visit: sleeper },
];

#[derive(Default)]
#[repr(C)]
struct News {
    event_count: EventCount,
    number: AtomicU32,
    waits: AtomicU32,
}

// SAFETY: three atomic words, zero is an event count that was not notified, and any bits are some
// state.
unsafe impl SharedObject for News {
    const KIND: u32 = u32::from_le_bytes(*b"news");
}

impl News {
    fn publish(&self) {
        self.number.fetch_add(1, Ordering::Release);
        _ = self.event_count.notify(Notify::All);
    }

    fn wait_for(&self, number: u32, slice: Duration) -> bool {
        let mut spin = Spin::default();
        loop {
            let seen = self.event_count.listen();
            if self.number.load(Ordering::Acquire) >= number {
                return true;
            }
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.event_count.wait(seen, &mut spin, Some(slice));
        }
    }
}

fn notifier(point: &'static str) {
    let news = shared::<News>();
    let slice = Duration::from_millis(300);
    let waiter = Child::run(|| news.wait_for(1, slice));
    until(|| news.waits.load(Ordering::Relaxed) > 0);
    waiter.sleeps();
    Child::dies_at(point, || news.publish());
    waiter.ends_well();
}

fn sleeper(point: &'static str) {
    let news = shared::<News>();
    Child::dies_at(point, || _ = news.wait_for(1, Duration::from_secs(60)));
    let other = Child::run(|| news.wait_for(1, Duration::from_secs(60)));
    until(|| news.waits.load(Ordering::Relaxed) > 1);
    other.sleeps();
    news.publish();
    other.ends_well();
}
