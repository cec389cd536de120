//! The thread that polls the pidfds of other processes on behalf of this process' sleeping threads.
//!
//! It exists while a thread has slept for more than 10 ms, and up to a second after, so that the
//! next wait finds it. It ends before this process forks: a child then has none of its descriptors,
//! and a program that counts its threads at `fork` does not find it. Sleeping threads are woken for
//! that and subscribe anew.

use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::os::eventfd::EventFd;
use crate::os::fork::around_forks;
use crate::os::identity::ProcessId;
use crate::os::pidfd::PidFd;
use crate::os::quiescence::helper;
use crate::os::{futex, signals};
use crate::shm::presence::{Inode, Members};
use crate::sync::local::Local;

/// How often the thread checks whether any wait is still subscribed.
const IDLE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How many processes are watched at most; and no more than an eighth of the descriptors that this
/// process may have.
const MOST: u64 = 128;
/// Of how much memory is remembered that its members are watched.
const MEMORIES: usize = 64;
const STACK: usize = 256 << 10;
/// In place of a process' name.
const STOP: u64 = 0;

/// Changes when a process that is watched has died, and when none is watched any more. Threads of this
/// process sleep on it.
pub(super) static DEATHS: AtomicU32 = AtomicU32::new(0);
static WATCH: Local<Watch> = Local::new(Watch::new());
/// How many threads are about to fork.
static FORKING: AtomicU32 = AtomicU32::new(0);
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);

/// What is watched, and by which thread.
#[derive(Debug)]
struct Watch {
    thread: Option<Thread>,
    /// How many waits have subscribed.
    waits: usize,
    /// How often it has begun anew.
    generation: u64,
    processes: Vec<(ProcessId, PidFd)>,
    /// Memory of which all members are watched that had joined at some count.
    memory: Vec<(Inode, u32)>,
    /// Becomes readable with the next death, and stays so, for threads that poll instead of
    /// sleeping on [`DEATHS`].
    next_death: Option<Arc<EventFd>>,
}

#[derive(Debug)]
struct Thread {
    epoll: Arc<OwnedFd>,
    stop: Arc<EventFd>,
}

/// A wait that relies on the watch.
#[derive(Debug)]
pub(super) struct Subscription {
    generation: u64,
}

impl Subscription {
    /// A descriptor that is readable once another death has been heard of, or none is any more.
    pub(super) fn next_death(&self) -> Option<Arc<EventFd>> {
        WATCH.with(|watch| {
            if watch.generation != self.generation {
                return None;
            }
            if watch.next_death.is_none() {
                watch.next_death = Some(Arc::new(EventFd::new().ok()?));
            }
            watch.next_death.clone()
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        WATCH.with(|watch| {
            if watch.generation == self.generation {
                watch.waits -= 1;
            }
        });
    }
}

/// Watches the members of some memory that had joined at this count, which the caller read before;
/// `None` where that cannot be.
pub(super) fn subscribe(members: &Members, joined: u32) -> Option<Subscription> {
    let memory = (members.memory, joined);
    if let Some(generation) = WATCH.with(|watch| watch.enter(memory)) {
        return Some(Subscription { generation });
    }
    if !FORKS_ARE_SEEN.swap(true, Ordering::Relaxed) {
        around_forks(Some(before_fork), Some(after_fork), Some(in_child));
    }
    let others = members.others(most())?;
    let known = WATCH.with(|watch| watch.names());
    let opened =
        others.iter().filter(|who| !known.contains(who)).map(|who| Some((*who, who.open()?)));
    let opened: Vec<_> = opened.collect::<Option<_>>()?;
    let generation = WATCH.with(|watch| {
        watch.add(opened).ok()?;
        // Some may have died meanwhile, and a fork may have ended the watch.
        let names = watch.names();
        if others.iter().all(|who| names.contains(who)) {
            watch.memory.retain(|(known, _)| *known != memory.0);
            // The oldest may be gone; what is waited for in it is asked for anew.
            watch.memory.truncate(MEMORIES - 1);
            watch.memory.insert(0, memory);
        }
        watch.enter(memory)
    });
    generation.map(|generation| Subscription { generation })
}

/// How many processes may be watched.
fn most() -> usize {
    let may_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // At most 128.
    MOST.min(may_open / 8) as usize
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    const fn new() -> Self {
        Self {
            thread: None,
            waits: 0,
            generation: 0,
            processes: Vec::new(),
            memory: Vec::new(),
            next_death: None,
        }
    }

    fn names(&self) -> Vec<ProcessId> {
        self.processes.iter().map(|(who, _)| *who).collect()
    }

    /// One more wait relies on it, if the members of this memory are watched.
    fn enter(&mut self, memory: (Inode, u32)) -> Option<u64> {
        let is_watched = self.thread.is_some() && self.memory.contains(&memory);
        self.waits += usize::from(is_watched);
        is_watched.then_some(self.generation)
    }

    fn add(&mut self, processes: Vec<(ProcessId, PidFd)>) -> io::Result<()> {
        // Relaxed: a thread that forks counts itself before it takes the watch, with the lock held.
        if FORKING.load(Ordering::Relaxed) > 0 || self.processes.len() + processes.len() > most() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(Thread::start()?),
        };
        for (who, process) in processes {
            if !self.processes.iter().any(|(known, _)| *known == who) {
                let data = epoll::EventData::new_u64(who.raw());
                epoll::add(&*thread.epoll, process.as_fd(), data, epoll::EventFlags::IN)?;
                self.processes.push((who, process));
            }
        }
        Ok(())
    }

    /// Forgets the processes of these names.
    fn remove(&mut self, ended: &[u64]) -> Self {
        let is_over = |(who, _): &mut (ProcessId, PidFd)| ended.contains(&who.raw());
        // Release: a thread that sees the count sees that the dead have lost their locks. Before
        // the descriptor is taken: a thread that is given the next one sees the count.
        DEATHS.fetch_add(1, Ordering::Release);
        let processes = self.processes.extract_if(.., is_over).collect();
        Self { processes, next_death: self.next_death.take(), ..Self::new() }
    }

    /// Ends it. The next one is another.
    fn take(&mut self) -> Self {
        DEATHS.fetch_add(1, Ordering::Release);
        let generation = self.generation + 1;
        mem::replace(self, Self { generation, ..Self::new() })
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let stop = Arc::new(EventFd::new()?);
        epoll::add(&*epoll, stop.as_fd(), epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let for_thread = Arc::clone(&epoll);
        helper::is_about_to_start();
        // Signals are for the program's own threads.
        let mask = signals::block_all()?;
        let thread = thread::Builder::new().name("millpond-deaths".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            helper::begins();
            run(&for_thread);
            helper::ends();
        });
        mask.restore()?;
        started?;
        helper::wait_until_begun();
        Ok(Self { epoll, stop })
    }
}

/// The thread.
fn run(epoll: &OwnedFd) {
    loop {
        let mut events = Vec::with_capacity(16);
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&IDLE)) {
            Ok(0) => {
                let idle = WATCH.with(|watch| (watch.waits == 0).then(|| watch.take()));
                if idle.is_some() {
                    return;
                }
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return announce(&WATCH.with(Watch::take)),
        }
        let ended: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        if ended.contains(&STOP) {
            return;
        }
        if !ended.is_empty() {
            announce(&WATCH.with(|watch| watch.remove(&ended)));
        }
    }
}

/// Wakes the threads that slept until a death of these processes, which are no longer watched.
fn announce(ended: &Watch) {
    futex::wake(&DEATHS, u32::MAX);
    if let Some(next_death) = &ended.next_death {
        next_death.signal();
    }
}

extern "C" fn before_fork() {
    FORKING.fetch_add(1, Ordering::Relaxed);
    let watch = WATCH.with(Watch::take);
    if let Some(thread) = &watch.thread {
        thread.stop.signal();
    }
    helper::wait_until_gone();
    if watch.thread.is_some() {
        announce(&watch);
    }
}

extern "C" fn after_fork() {
    FORKING.fetch_sub(1, Ordering::Relaxed);
}

extern "C" fn in_child() {
    // Other threads that were about to fork are not here.
    FORKING.store(0, Ordering::Relaxed);
    helper::is_about_to_start();
}
