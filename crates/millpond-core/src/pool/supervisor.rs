//! The supervisor: one thread a process that learns of deaths and cares for pools that no other
//! thread waits on.
//!
//! It starts with the first pool and ends with the last, and it never needs anything but engine
//! state, so no interpreter lock can hold it up. In a forked child there is no such thread; the
//! child's first pool starts one of its own and the copied bookkeeping is left alone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::os::eventfd::EventFd;
use crate::os::fork::Owner;
use crate::os::signals;
use crate::pool::handle::Shared;
use crate::pool::zygote::client::{ZygoteClient, ZygoteEvent, kill_and_wait};

/// How long workers of a pool that ends have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How often to look whether a thread that has no pools left has noticed that.
const SEEING_OFF: u32 = 2000;
/// How much longer the zygote has before it is killed itself.
const PATIENCE: Duration = Duration::from_secs(2);

static CURRENT: AtomicPtr<Supervisor> = AtomicPtr::new(ptr::null_mut());

struct Supervisor {
    owner: Owner,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    by_key: HashMap<u64, Entry>,
    last_key: u64,
    /// What the thread sleeps on, while there is a thread.
    ears: Option<Arc<Ears>>,
    /// The last thread that was started, until somebody has seen it off.
    thread: Option<JoinHandle<()>>,
}

/// What the supervisor's thread sleeps on.
struct Ears {
    epoll: OwnedFd,
    /// Readable when the thread is to look at the list of pools again.
    wake: EventFd,
}

impl Ears {
    fn new() -> io::Result<Self> {
        let ears = Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, wake: EventFd::new()? };
        ears.watch(ears.wake.as_fd(), Source::Wake)?;
        Ok(ears)
    }

    fn watch(&self, fd: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.data(), EventFlags::IN)?)
    }

    fn watch_zygote(&self, zygote: &ZygoteClient, key: u64) -> io::Result<()> {
        self.watch(zygote.as_fd(), Source::Zygote(key))?;
        self.watch(zygote.pidfd(), Source::Zygote(key))
    }

    fn forget(&self, fd: BorrowedFd<'_>) {
        // Descriptors may be shared with forked children, so closing them is not enough.
        let _ = epoll::delete(&self.epoll, fd);
    }
}

struct Entry {
    shared: Arc<Shared>,
    /// When the zygote is killed for not ending by itself.
    kill_at: Option<Instant>,
    /// When workers that could not be started are asked for again.
    retry_at: Option<Instant>,
}

/// What an epoll event is about.
#[derive(Clone, Copy)]
enum Source {
    Wake,
    /// A worker wants more tasks and nobody else is there, or the pool was told to end.
    Watcher(u64),
    /// The zygote said something, or died.
    Zygote(u64),
}

impl Source {
    fn data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Wake => 0,
            Self::Watcher(key) => key * 2,
            Self::Zygote(key) => key * 2 + 1,
        })
    }

    fn from_data(data: EventData) -> Self {
        match data.u64() {
            0 => Self::Wake,
            n if n % 2 == 0 => Self::Watcher(n / 2),
            n => Self::Zygote(n / 2),
        }
    }
}

/// Has the supervisor of this process care for a pool until it has ended.
pub(crate) fn register(shared: &Arc<Shared>) -> io::Result<()> {
    let supervisor = current();
    let mut pools = supervisor.pools();
    let ears = match &pools.ears {
        Some(ears) => Arc::clone(ears),
        None => Arc::new(Ears::new()?),
    };
    pools.last_key += 1;
    let key = pools.last_key;
    ears.watch(shared.watcher.as_fd(), Source::Watcher(key))?;
    ears.watch_zygote(&shared.zygote(), key)?;
    if pools.ears.is_none() {
        let for_thread = Arc::clone(&ears);
        let thread = thread::Builder::new()
            .name("millpond".into())
            .stack_size(256 << 10)
            .spawn(move || supervisor.run(&for_thread))?;
        pools.ears = Some(ears);
        pools.thread = Some(thread);
    }
    let entry = Entry { shared: Arc::clone(shared), kill_at: None, retry_at: None };
    pools.by_key.insert(key, entry);
    Ok(())
}

/// Waits until the thread is gone, if there is no pool left that it cares for. A program that has
/// ended its pools and forks is then one of a single thread, as far as the pools go.
pub(crate) fn see_off() {
    let supervisor = current();
    for _ in 0..SEEING_OFF {
        let mut pools = supervisor.pools();
        if !pools.by_key.is_empty() {
            return;
        }
        if pools.ears.is_none() {
            let thread = pools.thread.take();
            drop(pools);
            // It has decided to end, and needs no lock for that.
            if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
                let _ = thread.join();
            }
            return;
        }
        drop(pools);
        thread::sleep(Duration::from_micros(50));
    }
}

/// The supervisor of the calling process.
fn current() -> &'static Supervisor {
    let known = CURRENT.load(Ordering::Acquire);
    // SAFETY: supervisors are leaked, so a pointer that was ever published stays valid; all
    // fields are for shared use.
    if let Some(supervisor) = unsafe { known.as_ref() }
        && supervisor.owner.is_current()
    {
        return supervisor;
    }
    let fresh =
        Box::into_raw(Box::new(Supervisor { owner: Owner::current(), pools: Mutex::default() }));
    match CURRENT.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: published, so it is never freed.
        Ok(_) => unsafe { &*fresh },
        Err(_) => {
            // Another thread was faster.
            // SAFETY: made above and known to nobody else.
            drop(unsafe { Box::from_raw(fresh) });
            current()
        }
    }
}

impl Supervisor {
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&'static self, ears: &Ears) {
        // Signals are for the program's own threads. If they cannot be blocked they are handled
        // here, which is harmless.
        let _ = signals::block_all();
        let mut events = Vec::with_capacity(16);
        loop {
            events.clear();
            let timeout = match self.next_timeout() {
                Some(timeout) => timeout,
                None => return,
            };
            let buffer = rustix::buffer::spare_capacity(&mut events);
            // EINTR is as good as a timeout.
            let _ = epoll::wait(&ears.epoll, buffer, timeout.as_ref());
            for event in events.drain(..) {
                match Source::from_data(event.data) {
                    Source::Wake => ears.wake.clear(),
                    Source::Watcher(key) => self.care(key),
                    Source::Zygote(key) => self.hear(key, ears),
                }
            }
            self.enforce();
        }
    }

    /// How long to sleep at most; `None` when there is no pool left and the thread is to end.
    #[expect(clippy::option_option, reason = "no pool, no limit, a limit")]
    fn next_timeout(&self) -> Option<Option<Timespec>> {
        let mut pools = self.pools();
        if pools.by_key.is_empty() {
            pools.ears = None;
            return None;
        }
        let next = pools.by_key.values().flat_map(|e| [e.kill_at, e.retry_at]).flatten().min();
        Some(next.map(|at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        }))
    }

    fn shared(&self, key: u64) -> Option<Arc<Shared>> {
        self.pools().by_key.get(&key).map(|e| Arc::clone(&e.shared))
    }

    /// A worker asked for attention, or the pool was told to end.
    fn care(&self, key: u64) {
        let Some(shared) = self.shared(key) else {
            return;
        };
        shared.watcher.clear();
        self.tend(key, &shared);
    }

    /// Does what a pool needs: takes in, hands out, starts workers, ends the zygote.
    fn tend(&self, key: u64, shared: &Arc<Shared>) {
        let zygote = shared.zygote();
        let mut state = shared.state();
        state.work();
        state.recruit(&zygote);
        shared.hand_over(&mut state);
        shared.tell_waiters(&state);
        if let Some(entry) = self.pools().by_key.get_mut(&key) {
            entry.retry_at = state.pause.end();
        }
        if state.wants_zygote_to_quit()
            && let Some(entry) = self.pools().by_key.get_mut(&key)
            && entry.kill_at.is_none()
        {
            zygote.quit(GRACE);
            entry.kill_at = Some(Instant::now() + GRACE + PATIENCE);
        }
    }

    /// The zygote said something, or died.
    fn hear(&'static self, key: u64, ears: &Ears) {
        let Some(shared) = self.shared(key) else {
            return;
        };
        let zygote = shared.zygote();
        loop {
            match zygote.poll() {
                Some(ZygoteEvent::Gone) => return self.lost_zygote(key, &shared, &zygote, ears),
                Some(event) => shared.state().zygote_said(event),
                None if zygote.is_dead() => return self.lost_zygote(key, &shared, &zygote, ears),
                None => break,
            }
        }
        self.tend(key, &shared);
    }

    fn lost_zygote(
        &'static self,
        key: u64,
        shared: &Arc<Shared>,
        zygote: &ZygoteClient,
        ears: &Ears,
    ) {
        if shared.state().zygote_is_gone {
            // Its socket and its pidfd both told.
            return;
        }
        zygote.kill();
        zygote.reap();
        ears.forget(zygote.as_fd());
        ears.forget(zygote.pidfd());
        let is_end = {
            let mut state = shared.state();
            // What it said before it died still counts.
            while let Some(event) = zygote.poll() {
                if matches!(event, ZygoteEvent::Gone) {
                    break;
                }
                state.zygote_said(event);
            }
            // The kernel kills the workers of a dead zygote. Nobody waits for that under the lock.
            let workers = state.members.iter().filter_map(|m| m.pidfd.as_ref());
            let workers: Vec<_> = workers.filter_map(|fd| fd.try_clone().ok()).collect();
            state.zygote_is_gone = true;
            drop(state);
            workers.iter().for_each(kill_and_wait);
            let mut state = shared.state();
            state.zygote_said(ZygoteEvent::Gone);
            shared.tell_waiters(&state);
            state.wants_zygote_to_quit()
        };
        if is_end {
            // First: who waits for the end may also want to see the thread off.
            self.unregister(key, shared);
            let mut state = shared.state();
            state.end();
            shared.tell_waiters(&state);
        } else {
            self.replace_zygote(key, shared);
        }
    }

    fn unregister(&self, key: u64, shared: &Shared) {
        let mut pools = self.pools();
        pools.by_key.remove(&key);
        if let Some(ears) = &pools.ears {
            ears.forget(shared.watcher.as_fd());
            ears.wake.signal();
        }
    }

    /// Has a thread make a new zygote: the door may have to wait for a lock of its own.
    fn replace_zygote(&'static self, key: u64, shared: &Arc<Shared>) {
        let for_thread = Arc::clone(shared);
        let thread = thread::Builder::new().name("millpond-zygote".into());
        let spawned = thread.spawn(move || {
            let shared = for_thread;
            let made = shared.mask.restore().and_then(|()| {
                ZygoteClient::start(&*shared.source, &shared.commons, &shared.watcher)
            });
            self.got_zygote(key, &shared, made);
        });
        if let Err(error) = spawned {
            self.orphaned(key, shared, error);
        }
    }

    fn got_zygote(&self, key: u64, shared: &Arc<Shared>, made: io::Result<ZygoteClient>) {
        let watched = made.and_then(|zygote| {
            shared.replace_zygote(zygote);
            shared.state().zygote_is_gone = false;
            match &self.pools().ears {
                Some(ears) => ears.watch_zygote(&shared.zygote(), key),
                None => Ok(()),
            }
        });
        match watched {
            Ok(()) => {
                if let Some(entry) = self.pools().by_key.get_mut(&key) {
                    entry.kill_at = None;
                }
                self.tend(key, shared);
            }
            Err(error) => self.orphaned(key, shared, error),
        }
    }

    fn orphaned(&self, key: u64, shared: &Shared, error: io::Error) {
        {
            let mut state = shared.state();
            state.orphan(error);
            shared.tell_waiters(&state);
        }
        self.unregister(key, shared);
    }

    /// Kills zygotes that did not end in time.
    fn enforce(&self) {
        let now = Instant::now();
        for entry in self.pools().by_key.values_mut() {
            if entry.kill_at.is_some_and(|at| at <= now) {
                entry.kill_at = Some(now + PATIENCE);
                entry.shared.zygote().kill();
            }
        }
        let retry: Vec<_> = {
            let mut pools = self.pools();
            let due = |entry: &Entry| entry.retry_at.is_some_and(|at| at <= now);
            let due = pools.by_key.iter_mut().filter(|(_, entry)| due(entry));
            due.map(|(&key, entry)| {
                entry.retry_at = None;
                (key, Arc::clone(&entry.shared))
            })
            .collect()
        };
        retry.iter().for_each(|(key, shared)| self.tend(*key, shared));
    }
}
