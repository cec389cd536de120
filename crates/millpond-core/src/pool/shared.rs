//! `Shared`, the part of a pool that the owner's threads share: the state behind its lock, the
//! zygotes, and the event count and descriptors that wake waiting threads.

use std::ffi::CString;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::os::eventfd::EventFd;
use crate::os::fork::Owner;
use crate::os::lifeline::Lifeline;
use crate::os::signals::SignalMask;
use crate::pool::captured_handles::Settlement;
use crate::pool::config::Config;
use crate::pool::control_block::ControlBlock;
use crate::pool::state::State;
use crate::pool::zygote::client::{ZygoteClient, ZygoteSource};
use crate::shm::draft::Cooling;
use crate::shm::heap::Heap;
use crate::sync::event_count::Notify;

/// What the threads of the owning process share.
pub(crate) struct Shared {
    pub(crate) owner: Owner,
    pub(crate) control_block: ControlBlock,
    pub(crate) watcher: EventFd,
    lifeline: Arc<Lifeline>,
    pub(crate) source: Box<dyn ZygoteSource>,
    /// The signal mask of the thread that made the pool, which later zygotes begin with too.
    pub(crate) mask: SignalMask,
    /// The name of that thread, which later workers have too where they are forked.
    pub(crate) thread_name: Option<CString>,
    state: Mutex<State>,
    zygotes: Mutex<Zygotes>,
    pub(crate) newest_zygote_pid: AtomicU32,
}

/// The zygotes of a pool that are not known to be dead.
#[derive(Default)]
struct Zygotes {
    /// The newest is the last.
    living: Vec<Arc<ZygoteClient>>,
    /// How many there have been.
    count: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The truth, until it is dropped. What turned out meanwhile to have arrived, or not, is settled
/// when the lock is free again, since that may wait for other processes; and pages that are not worth
/// keeping go back to the system then, since that takes its time.
#[derive(Debug)]
pub(crate) struct StateGuard<'a> {
    // Fields are dropped in this order.
    state: MutexGuard<'a, State>,
    claims: Claims,
    cooling: Cooling,
}

#[derive(Debug, Default)]
struct Claims(Vec<Settlement>);

impl Drop for Claims {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Settlement::settle);
    }
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        self.claims.0 = std::mem::take(&mut self.state.claims);
        self.cooling = self.state.heap.cooling();
    }
}

impl Shared {
    /// What there is before the first zygote.
    pub(crate) fn new(
        config: Config,
        source: Box<dyn ZygoteSource>,
        lifeline: Arc<Lifeline>,
    ) -> io::Result<Self> {
        let control_block = ControlBlock::create()?;
        let state = State::new(config, Heap::new(control_block.segment())?);
        Ok(Self {
            owner: Owner::current(),
            control_block,
            watcher: EventFd::new()?,
            lifeline,
            source,
            mask: SignalMask::current()?,
            // For tools that list processes; without it they show another name.
            thread_name: rustix::thread::name().ok(),
            state: Mutex::new(state),
            zygotes: Mutex::default(),
            newest_zygote_pid: AtomicU32::new(0),
        })
    }

    pub(crate) fn state(&self) -> StateGuard<'_> {
        // A panic under the lock is a bug; going on is better than taking the program down.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        StateGuard { state, claims: Claims::default(), cooling: Cooling::default() }
    }

    fn lock_zygotes(&self) -> MutexGuard<'_, Zygotes> {
        self.zygotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are not known to be dead, the newest last.
    pub(crate) fn zygotes(&self) -> Vec<Arc<ZygoteClient>> {
        self.lock_zygotes().living.clone()
    }

    /// Whether there has been one.
    pub(crate) fn has_had_zygotes(&self) -> bool {
        self.lock_zygotes().count > 0
    }

    /// The one that forks workers.
    pub(crate) fn newest_zygote(&self) -> Option<Arc<ZygoteClient>> {
        let zygotes = self.lock_zygotes();
        zygotes.living.last().filter(|zygote| zygote.generation == zygotes.count).cloned()
    }

    /// Makes a zygote, which is to become the newest by [`take_up`](Self::take_up). One at a time.
    pub(crate) fn make_zygote(&self) -> io::Result<ZygoteClient> {
        let generation = self.lock_zygotes().count + 1;
        let (control_block, watcher, lifeline) =
            (&self.control_block, &self.watcher, &self.lifeline);
        ZygoteClient::start(&*self.source, control_block, watcher, lifeline, generation)
    }

    /// Has a zygote take the place of the newest, which ends with the last of its workers.
    pub(crate) fn take_up(&self, zygote: ZygoteClient) -> Arc<ZygoteClient> {
        let zygote = Arc::new(zygote);
        let mut zygotes = self.lock_zygotes();
        let older = zygotes.living.last().filter(|older| older.generation == zygotes.count);
        if let Some(older) = older {
            older.retire();
        }
        zygotes.count = zygote.generation;
        self.newest_zygote_pid.store(zygote.pid(), Ordering::Relaxed);
        zygotes.living.push(Arc::clone(&zygote));
        zygote
    }

    /// Forgets a zygote that is dead; whether it was there.
    pub(crate) fn forget_zygote(&self, generation: u64) -> bool {
        let mut zygotes = self.lock_zygotes();
        let before = zygotes.living.len();
        zygotes.living.retain(|zygote| zygote.generation != generation);
        zygotes.living.len() < before
    }

    /// Has the supervisor care for the workers if no thread of the program does.
    pub(crate) fn hand_over(&self, state: &mut State) {
        self.watch(state);
        if state.waiters == 0
            && let Some(look) = state.next_look()
            && state.ticks_at.is_none_or(|tick| look < tick)
        {
            state.ticks_at = Some(look);
            self.watcher.signal();
        }
    }

    /// Has workers wake the supervisor if no thread of the program waits for them and there is more to
    /// hand out.
    pub(crate) fn watch(&self, state: &mut State) {
        let event_count = self.control_block.event_count();
        if state.waiters > 0 {
            return;
        }
        while state.needs_care() {
            event_count.watch();
            // What came before the flag was set notified no thread.
            if !state.work() {
                return;
            }
        }
        event_count.unwatch();
    }

    /// Tells waiting threads of this process to look again.
    pub(crate) fn tell_waiters(&self, state: &State) {
        if state.waiters > 0 && self.control_block.event_count().notify(Notify::All) {
            self.watcher.signal();
        }
    }
}
