//! Poisoning: reports to the next holder of a lock that the previous one panicked or died while it
//! held the lock.

use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::robust::Taken;

/// What became of the last holder of a lock that is held now; what it guards may be half changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poisoned {
    /// This process died while it held the lock.
    Died(ProcessId),
    /// A thread of this process gave the lock back while it panicked.
    Panicked(ProcessId),
}

/// How an attempt to hold a lock ended: `None` if another thread or process still held it at the
/// deadline; else the caller holds it, and `Err` says how the previous holder failed.
pub type Hold = Option<Result<(), Poisoned>>;

/// A note beside a lock, written and read by its holders alone; all zero says nothing.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Poison(AtomicU64);

impl Poison {
    /// Notes that the calling process gives the lock back in a panic.
    pub fn set(&self, me: ProcessId) {
        // Relaxed: the lock orders it.
        self.0.store(me.raw(), Ordering::Relaxed);
        crash_point!("poison: noted");
    }

    /// Takes the note away and returns it. The caller has just taken the lock.
    #[inline]
    fn take(&self) -> Result<(), Poisoned> {
        // Relaxed: the lock orders it.
        let noted = self.0.load(Ordering::Relaxed);
        if noted == 0 {
            return Ok(());
        }
        self.0.store(0, Ordering::Relaxed);
        crash_point!("poison: taken");
        ProcessId::from_raw(noted).map_or(Ok(()), |process| Err(Poisoned::Panicked(process)))
    }

    /// What `acquire`, called again when a signal handler ran, amounts to.
    #[inline]
    pub(crate) fn judge(&self, acquire: impl Fn() -> Taken) -> Hold {
        loop {
            match acquire() {
                Taken::Clean => return Some(self.take()),
                Taken::OwnerDied(process) => {
                    // What was noted before is the less of the two.
                    let _ = self.take();
                    return Some(Err(Poisoned::Died(process)));
                }
                Taken::TimedOut => return None,
                Taken::Interrupted => {}
            }
        }
    }
}
