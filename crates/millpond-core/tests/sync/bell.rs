//! Deaths at the steps of bells. Whose ringer may die waits in slices (or hears of the death).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond_core::shm::shared::SharedObject;
use millpond_core::sync::bell::{Bell, Loudness};
use millpond_core::sync::spin::Spin;

use crate::support::{Case, Child, shared, until};

pub(crate) const CASES: [Case; 2] = [
    Case { point: "bell: counted, before wake", role: "ringer", visit: ringer },
    Case { point: "bell: before sleep", role: "sleeper", visit: sleeper },
];

#[derive(Default)]
#[repr(C)]
struct News {
    bell: Bell,
    number: AtomicU32,
    waits: AtomicU32,
}

// SAFETY: three atomic words, zero is a bell that was not rung, and any bits are some state.
unsafe impl SharedObject for News {
    const KIND: u32 = u32::from_le_bytes(*b"news");
}

impl News {
    fn publish(&self) {
        self.number.fetch_add(1, Ordering::Release);
        _ = self.bell.ring(Loudness::Loud);
    }

    fn wait_for(&self, number: u32, slice: Duration) -> bool {
        let mut spin = Spin::default();
        loop {
            let seen = self.bell.listen();
            if self.number.load(Ordering::Acquire) >= number {
                return true;
            }
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.bell.wait(seen, &mut spin, Some(slice));
        }
    }
}

fn ringer(point: &'static str) {
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
