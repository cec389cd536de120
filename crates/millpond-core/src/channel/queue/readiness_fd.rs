//! A descriptor that is readable while there are items, for `select` and its like.
//!
//! It is a FIFO with one byte in it, or none, and accompanies the queue's region. Keeping the byte
//! true costs system calls, so that begins with the first call of [`watch`](ReadinessFd::watch):
//! from then on each commit compares the byte with the queue, under a guard of its own.
//!
//! ```text
//! watcher                    committer
//!   set `watched`              commit
//!   ── fence ──                ── fence ──
//!   settle                     `watched`? settle
//! ```
//!
//! As in [`waiters`](super::waiters), one of the two sees the other. A death between the byte and
//! the note of it leaves a guard with a dead holder; the next one empties the FIFO and begins anew.
//!
//! **Stopped processes.** A committer has done its work already, and must not wait for a process
//! that is stopped in the guard. So a process that gives the guard back fences and compares once
//! more, and one that has waited for 200 ms (the [guard timeout](super::timed_guard)) leaves the
//! byte to the holder. The byte stays wrong only if the holder is killed while it is stopped, and
//! no process puts, takes or watches afterwards.

use std::os::fd::BorrowedFd;

use crate::channel::queue::timed_guard::TimedGuard;
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sync::robust::Taken;

/// What the processes agree on about the FIFO.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct ReadinessFd {
    guard: TimedGuard,
    watched: AtomicU32,
    /// Whether the byte is in it.
    byte: AtomicU32,
}

impl ReadinessFd {
    #[cfg(feature = "testing")]
    pub(super) fn force_free(&self) {
        self.guard.force_free();
    }

    /// Begins to keep the byte true to whether there `are_items`.
    pub(super) fn watch(&self, readiness_fd: BorrowedFd<'_>, are_items: impl Fn() -> bool) {
        self.watched.store(1, Ordering::Relaxed);
        // See the module.
        fence(Ordering::SeqCst);
        self.settle(readiness_fd, are_items);
    }

    /// Keeps the byte true after a commit.
    #[inline]
    pub(super) fn committed(&self, readiness_fd: BorrowedFd<'_>, are_items: impl Fn() -> bool) {
        // See the module.
        fence(Ordering::SeqCst);
        if self.watched.load(Ordering::Relaxed) != 0 {
            self.settle(readiness_fd, are_items);
        }
    }

    #[cold]
    fn settle(&self, readiness_fd: BorrowedFd<'_>, are_items: impl Fn() -> bool) {
        let me = ProcessId::current();
        let wanted = || u32::from(are_items());
        loop {
            match self.guard.take_in_time(me) {
                Taken::Clean => {}
                Taken::OwnerDied(_) => {
                    while rustix::io::read(readiness_fd, &mut [0_u8; 8]).is_ok_and(|read| read > 0)
                    {
                    }
                    self.byte.store(0, Ordering::Relaxed);
                }
                // The holder will look again.
                Taken::TimedOut | Taken::Interrupted => return,
            }
            self.settle_entered(readiness_fd, wanted);
            self.guard.release(me);
            // See the module.
            fence(Ordering::SeqCst);
            if self.byte.load(Ordering::Relaxed) == wanted() {
                return;
            }
        }
    }

    fn settle_entered(&self, readiness_fd: BorrowedFd<'_>, wanted: impl Fn() -> u32) {
        // Relaxed: the guard orders the note of the byte.
        loop {
            let wanted = wanted();
            if self.byte.load(Ordering::Relaxed) == wanted {
                break;
            }
            crash_point!("queue: readiness descriptor is about to be moved");
            let moved = if wanted == 1 {
                rustix::io::write(readiness_fd, &[1]).is_ok()
            } else {
                rustix::io::read(readiness_fd, &mut [0_u8; 8]).is_ok()
            };
            crash_point!("queue: readiness descriptor is moved");
            // It fails if another process read or filled the FIFO; what is noted is what is there.
            self.byte.store(wanted, Ordering::Relaxed);
            if !moved {
                break;
            }
        }
    }
}
