//! Poison: how the next holder of a lock learns that the last one left it in a hurry.

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

/// How an attempt to hold a lock ended: `None` if it is held by somebody else and time is up,
/// else the caller holds it, after what `Err` says.
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

    /// Takes the note away: what the caller, who has just taken the lock, must know.
    #[inline]
    fn take(&self) -> Result<(), Poisoned> {
        // Relaxed: the lock orders it.
        let noted = self.0.load(Ordering::Relaxed);
        if noted == 0 {
            return Ok(());
        }
        self.0.store(0, Ordering::Relaxed);
        crash_point!("poison: taken");
        ProcessId::from_raw(noted).map_or(Ok(()), |who| Err(Poisoned::Panicked(who)))
    }

    /// What `acquire`, called again when a signal handler ran, amounts to.
    #[inline]
    pub(crate) fn judge(&self, acquire: impl Fn() -> Taken) -> Hold {
        loop {
            match acquire() {
                Taken::Clean => return Some(self.take()),
                Taken::OwnerDied(who) => {
                    // What was noted before is the less of the two.
                    let _ = self.take();
                    return Some(Err(Poisoned::Died(who)));
                }
                Taken::TimedOut => return None,
                Taken::Interrupted => {}
            }
        }
    }
}
