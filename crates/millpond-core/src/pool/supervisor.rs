//! The supervisor: one thread a process that learns of the deaths of workers and zygotes, and
//! drives the pools on which no other thread waits.
//!
//! It starts with the first pool and ends with the last, and it never needs anything but engine
//! state, so the GIL cannot hold it up. A panic in its care for a pool, which is a bug, costs
//! that pool alone. In a forked child there is no such thread; the
//! child's first pool starts one of its own and the copied bookkeeping is left alone.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll;

use crate::os::clock::monotonic_ns;
use crate::os::family;
use crate::os::fork::Owner;
use crate::os::lifeline::Lifeline;
use crate::os::signals;
use crate::pool::poller::{Poller, Source};
use crate::pool::shared::Shared;
use crate::pool::zygote::client::{LONGEST_DEATH, ZygoteClient, ZygoteEvent, kill_and_wait};

/// How long workers of a pool that ends have between SIGTERM and SIGKILL.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to look whether a thread that has no pools left has noticed that.
const JOIN_POLLS: u32 = 2000;
/// How much longer the zygote has before it is killed itself.
const ZYGOTE_MARGIN: Duration = Duration::from_secs(2);

static CURRENT: AtomicPtr<Supervisor> = AtomicPtr::new(ptr::null_mut());

pub(super) struct Supervisor {
    owner: Owner,
    pools: Mutex<Pools>,
}

#[derive(Default)]
pub(super) struct Pools {
    pub(super) by_key: HashMap<u64, Entry>,
    last_key: u64,
    /// What the thread sleeps on, while there is a thread.
    pub(super) poller: Option<Arc<Poller>>,
    /// The lifeline of this process, as long as a pool holds it.
    lifeline: Weak<Lifeline>,
    /// The last thread that was started, until another thread has joined it.
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Entry {
    shared: Arc<Shared>,
    /// When the zygotes are killed for not ending by themselves.
    pub(super) kill_at: Option<Instant>,
    /// When workers that could not be started are asked for again, or tasks may turn out to take long.
    retry_at: Option<Instant>,
}

/// Has the supervisor of this process care for a pool until it has ended.
pub(crate) fn register(shared: &Arc<Shared>) -> io::Result<()> {
    let supervisor = current();
    let mut pools = supervisor.pools();
    let poller = match &pools.poller {
        Some(poller) => Arc::clone(poller),
        None => Arc::new(Poller::new()?),
    };
    pools.last_key += 1;
    let key = pools.last_key;
    poller.watch(shared.watcher.as_fd(), Source::Watcher(key))?;
    for zygote in shared.zygotes() {
        poller.watch_zygote(&zygote, key)?;
    }
    if pools.poller.is_none() {
        let for_thread = Arc::clone(&poller);
        let thread = thread::Builder::new()
            .name("millpond".into())
            .stack_size(256 << 10)
            .spawn(move || supervisor.run(&for_thread))?;
        pools.poller = Some(poller);
        pools.thread = Some(thread);
    }
    let entry = Entry { shared: Arc::clone(shared), kill_at: None, retry_at: None };
    pools.by_key.insert(key, entry);
    Ok(())
}

/// The lifeline of this process: all its pools have the same.
pub(crate) fn lifeline() -> io::Result<Arc<Lifeline>> {
    let mut pools = current().pools();
    if let Some(lifeline) = pools.lifeline.upgrade() {
        return Ok(lifeline);
    }
    let lifeline = Lifeline::new()?;
    pools.lifeline = Arc::downgrade(&lifeline);
    Ok(lifeline)
}

/// Waits until the thread is gone, if there is no pool left that it cares for. A program that has
/// ended its pools and forks is then one of a single thread, as far as the pools go.
pub(crate) fn join_thread() {
    let supervisor = current();
    for _ in 0..JOIN_POLLS {
        let mut pools = supervisor.pools();
        if !pools.by_key.is_empty() {
            return;
        }
        if pools.poller.is_none() {
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
            // SAFETY: made above and not known elsewhere.
            drop(unsafe { Box::from_raw(fresh) });
            current()
        }
    }
}

impl Supervisor {
    pub(super) fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&'static self, poller: &Poller) {
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
            let _ = epoll::wait(&poller.epoll, buffer, timeout.as_ref());
            for event in events.drain(..) {
                match Source::from_data(event.data) {
                    Source::Wake => poller.wake.clear(),
                    Source::Watcher(key) => self.guarded(key, poller, || self.care(key)),
                    Source::Zygote(key) => {
                        self.guarded(key, poller, || self.on_zygote(key, poller))
                    }
                }
            }
            self.enforce(poller);
        }
    }

    /// How long to sleep at most; `None` when there is no pool left and the thread is to end.
    #[expect(clippy::option_option, reason = "no pool, no limit, a limit")]
    fn next_timeout(&self) -> Option<Option<Timespec>> {
        let mut pools = self.pools();
        if pools.by_key.is_empty() {
            pools.poller = None;
            return None;
        }
        let next = pools.by_key.values().flat_map(|e| [e.kill_at, e.retry_at]).flatten().min();
        Some(next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        }))
    }

    fn shared(&self, key: u64) -> Option<Arc<Shared>> {
        self.pools().by_key.get(&key).map(|e| Arc::clone(&e.shared))
    }

    /// Cares for a pool. If that panics, the pool is broken and ends at once.
    fn guarded(&'static self, key: u64, poller: &Poller, care: impl FnOnce()) {
        let Err(panic) = panic::catch_unwind(AssertUnwindSafe(care)) else {
            return;
        };
        let Some(shared) = self.shared(key) else {
            return;
        };
        for zygote in shared.zygotes() {
            // Its workers go with it.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                Self::lost_zygote(&shared, &zygote, poller)
            }));
        }
        let error = io::Error::other(format!("a bug in millpond: {}", message_of(&*panic)));
        let _ = panic::catch_unwind(AssertUnwindSafe(|| shared.state().orphan(error)));
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.end(key, &shared)));
        // However far that came, no thread waits for this pool any more.
        shared.state().ended = true;
    }

    /// A worker asked for attention, or the pool was told to end.
    fn care(&'static self, key: u64) {
        let Some(shared) = self.shared(key) else {
            return;
        };
        shared.watcher.clear();
        self.tend(key, &shared, true);
    }

    /// Does what a pool needs: takes in, hands out, starts workers, ends the zygotes. `is_news` says
    /// that threads which wait may have to look, whether or not anything is taken in or handed out.
    pub(super) fn tend(&'static self, key: u64, shared: &Arc<Shared>, is_news: bool) {
        let mut state = shared.state();
        let handed = state.workers.handed();
        let mut is_news = state.work() || is_news;
        let killed_for = state.look_at_limits(monotonic_ns());
        is_news |= !killed_for.is_empty() || state.workers.handed() != handed;
        let now = Instant::now();
        state.backoff.look(now);
        let shrinks_at = state.shrink(now);
        state.summons = false;
        if let Some(zygote) = shared.newest_zygote() {
            if !shared.source.ages() {
                state.grant_missing();
            }
            state.recruit(&zygote);
        }
        let renewal = state.begin_renewal();
        shared.watch(&mut state);
        if is_news {
            shared.tell_waiters(&state);
        }
        state.ticks_at = state.next_tick(Instant::now());
        if let Some(entry) = self.pools().by_key.get_mut(&key) {
            let looks = [state.backoff.end(), state.ticks_at, state.limits.next(), shrinks_at];
            entry.retry_at = looks.into_iter().flatten().min();
        }
        let ends = state.wants_zygotes_to_quit();
        if ends
            && let Some(entry) = self.pools().by_key.get_mut(&key)
            && entry.kill_at.is_none()
        {
            state.end_workers();
            state.interrupt_busy();
            shared.zygotes().iter().for_each(|zygote| zygote.quit(TERMINATE_TIMEOUT));
            entry.kill_at = Some(Instant::now() + TERMINATE_TIMEOUT + ZYGOTE_MARGIN);
        }
        let over = ends && !state.renewing && shared.zygotes().is_empty();
        drop(state);
        family::kill(killed_for);
        if over {
            self.end(key, shared);
        } else if let Some(count) = renewal {
            self.renew(key, shared, count);
        }
    }

    /// No process of the pool is left.
    fn end(&self, key: u64, shared: &Shared) {
        // First: a thread that waits for the pool's end may wait for the end of this thread next.
        self.unregister(key, shared);
        let mut state = shared.state();
        state.end();
        shared.tell_waiters(&state);
    }

    /// A zygote said something, or died.
    fn on_zygote(&'static self, key: u64, poller: &Poller) {
        let Some(shared) = self.shared(key) else {
            return;
        };
        let mut is_news = false;
        for zygote in shared.zygotes() {
            let is_gone = loop {
                match zygote.poll() {
                    Some(ZygoteEvent::Gone) => break true,
                    Some(event) => {
                        let is_start = matches!(event, ZygoteEvent::Started { .. });
                        let mut state = shared.state();
                        state.on_zygote_event(event);
                        // The last of them is what `wait_started` waits for.
                        is_news |= !is_start || state.have_started();
                    }
                    None => break zygote.is_dead(),
                }
            };
            if is_gone {
                is_news = true;
                Self::lost_zygote(&shared, &zygote, poller);
            }
        }
        self.tend(key, &shared, is_news);
    }

    fn lost_zygote(shared: &Shared, zygote: &ZygoteClient, poller: &Poller) {
        let was_newest = shared.newest_zygote().is_some_and(|z| z.generation == zygote.generation);
        if !shared.forget_zygote(zygote.generation) {
            return;
        }
        zygote.kill();
        zygote.reap();
        poller.forget(zygote.as_fd());
        poller.forget(zygote.pidfd());
        let mut state = shared.state();
        // What it said before it died still counts.
        while let Some(event) = zygote.poll() {
            if matches!(event, ZygoteEvent::Gone) {
                break;
            }
            state.on_zygote_event(event);
        }
        if was_newest {
            state.grants.clear();
        }
        // The kernel kills the workers of a dead zygote. That is not waited for under the lock.
        let workers = state.workers.iter().filter(|m| m.generation == zygote.generation);
        let workers = workers.filter_map(|m| m.pidfd.as_ref());
        let workers: Vec<_> = workers.filter_map(|fd| fd.try_clone().ok()).collect();
        drop(state);
        kill_and_wait(&workers, Instant::now() + LONGEST_DEATH);
        shared.state().reap_generation(zygote);
    }

    fn unregister(&self, key: u64, shared: &Shared) {
        let mut pools = self.pools();
        pools.by_key.remove(&key);
        if let Some(poller) = &pools.poller {
            poller.forget(shared.watcher.as_fd());
            poller.wake.signal();
        }
    }

    /// Kills zygotes that did not end in time.
    fn enforce(&'static self, poller: &Poller) {
        let now = Instant::now();
        for entry in self.pools().by_key.values_mut() {
            if entry.kill_at.is_some_and(|at| at <= now) {
                entry.kill_at = Some(now + ZYGOTE_MARGIN);
                entry.shared.zygotes().iter().for_each(|zygote| zygote.kill());
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
        for (key, shared) in &retry {
            self.guarded(*key, poller, || self.tend(*key, shared, true));
        }
    }
}

pub(super) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("a panic")
}
