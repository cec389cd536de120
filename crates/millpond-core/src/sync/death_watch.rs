//! The thread that polls the pidfds of other processes on behalf of this process' sleeping threads.
//!
//! It exists while a thread has slept for more than 10 ms, and up to a second after, so that the
//! next wait finds it. It ends before this process forks: a child then has none of its descriptors,
//! and a program that counts its threads at `fork` does not find it. Sleeping threads are woken for
//! that and subscribe anew.

use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::os::eventfd::EventFd;
use crate::os::fork::around_forks;
use crate::os::identity::ProcessId;
use crate::os::kept_fd::KeptFd;
use crate::os::pidfd::PidFd;
use crate::os::quiescence::helper;
use crate::os::{futex, signals};
use crate::shm::presence::{Inode, Members};
use crate::shm::tables;
use crate::sync::local::Local;

/// How often the thread checks whether any wait is still subscribed.
const IDLE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How many processes are watched at most; and no more than an eighth of the descriptors that this
/// process may have.
const MAX_PROCESSES: u64 = 128;
/// Of how much memory is remembered that its members are watched.
const MEMORIES: usize = 64;
const STACK: usize = 256 << 10;

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
    processes: Vec<(ProcessId, KeptFd<PidFd>)>,
    /// Memory of which all members are watched that had joined at some count.
    memory: Vec<(Inode, u32)>,
    /// Becomes readable with the next death, and stays so, for threads that poll instead of
    /// sleeping on [`DEATHS`].
    next_death: Option<KeptFd<EventFd>>,
}

/// The thread.
#[derive(Debug)]
struct Thread {
    /// Has it look at what is to be watched.
    change: Arc<KeptFd<EventFd>>,
}

/// A wait that relies on the watch.
#[derive(Debug)]
pub(super) struct Subscription {
    generation: u64,
}

impl Subscription {
    /// The number of a descriptor that is readable once another death has been noticed, or none is
    /// any more: for a poll, which says so if it is closed meanwhile.
    pub(super) fn next_death(&self) -> Option<RawFd> {
        WATCH.with(|watch| {
            if watch.generation != self.generation {
                return None;
            }
            if watch.next_death.as_ref().is_none_or(|fd| fd.get().is_none()) {
                watch.next_death = KeptFd::new(EventFd::new().ok()?);
            }
            watch.next_death.as_ref().map(KeptFd::number)
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
    let others = members.others(max_processes())?;
    // No fork happens while the tables are locked: no child inherits the descriptors.
    let tables = tables::lock();
    let generation = WATCH.with(|watch| {
        watch.add(&others).ok()?;
        watch.memory.retain(|(known, _)| *known != memory.0);
        // The oldest may be gone; what is waited for in it is asked for anew.
        watch.memory.truncate(MEMORIES - 1);
        watch.memory.insert(0, memory);
        watch.enter(memory)
    });
    drop(tables);
    generation.map(|generation| Subscription { generation })
}

/// How many processes may be watched.
fn max_processes() -> usize {
    let may_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // At most 128.
    MAX_PROCESSES.min(may_open / 8) as usize
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

    /// One more wait relies on it, if the members of this memory are watched.
    fn enter(&mut self, memory: (Inode, u32)) -> Option<u64> {
        let is_watched = self.thread.is_some() && self.memory.contains(&memory);
        self.waits += usize::from(is_watched);
        is_watched.then_some(self.generation)
    }

    /// Watches these, too. The tables are locked.
    fn add(&mut self, others: &[ProcessId]) -> io::Result<()> {
        let is_new = |who: &&ProcessId| !self.processes.iter().any(|(known, _)| known == *who);
        let new: Vec<_> = others.iter().filter(is_new).copied().collect();
        // Relaxed: a thread that forks counts itself before it takes the watch, with the lock held.
        if FORKING.load(Ordering::Relaxed) > 0 || self.processes.len() + new.len() > max_processes()
        {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut opened = Vec::with_capacity(new.len());
        for who in new {
            // One that is dead and whose memory somebody has still would be watched in vain.
            let process = who.open().filter(|process| process.is_alive().unwrap_or(false));
            let process = process.and_then(KeptFd::new).ok_or(io::ErrorKind::NotFound)?;
            opened.push((who, process));
        }
        self.processes.extend(opened);
        match &self.thread {
            // If the program has closed it, the thread ends this watch.
            Some(thread) => thread.change.get().ok_or(io::ErrorKind::NotFound)?.signal(),
            None => self.thread = Some(Thread::start(self.generation)?),
        }
        Ok(())
    }

    /// Forgets the processes of these names, and of which memory all are watched.
    fn remove(&mut self, ended: &[ProcessId]) -> Self {
        let is_over = |(who, _): &mut (ProcessId, _)| ended.contains(who);
        // Release: a thread that sees the count sees that the dead have lost their locks. Before
        // the descriptor is taken: a thread that is given the next one sees the count.
        DEATHS.fetch_add(1, Ordering::Release);
        self.memory.clear();
        let processes = self.processes.extract_if(.., is_over).collect();
        Self { processes, next_death: self.next_death.take(), ..Self::new() }
    }

    /// Ends it. The next one is another.
    fn take(&mut self) -> Self {
        DEATHS.fetch_add(1, Ordering::Release);
        let generation = self.generation + 1;
        mem::replace(self, Self { generation, ..Self::new() })
    }

    /// The same, if it has not begun anew already.
    fn take_if(&mut self, generation: u64) -> Self {
        if self.generation == generation { self.take() } else { Self::new() }
    }
}

impl Thread {
    fn start(generation: u64) -> io::Result<Self> {
        let change = Arc::new(KeptFd::new(EventFd::new()?).ok_or(io::ErrorKind::NotFound)?);
        let for_thread = Arc::clone(&change);
        helper::is_about_to_start();
        // Signals are for the program's own threads.
        let mask = signals::block_all()?;
        let thread = thread::Builder::new().name("millpond-deaths".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            helper::begins();
            run(generation, &for_thread);
            helper::ends();
        });
        mask.restore()?;
        started?;
        helper::wait_until_begun();
        Ok(Self { change })
    }
}

/// The thread of the watch that has this generation.
fn run(generation: u64, change: &KeptFd<EventFd>) {
    // No system call finds numbers in a set that a forked child has as well, as those of an epoll are.
    let numbers = |watch: &mut Watch| {
        let processes = watch.processes.iter().map(|(who, fd)| (*who, fd.number()));
        (watch.generation == generation).then(|| processes.collect::<Vec<_>>())
    };
    while let Some(processes) = WATCH.with(numbers) {
        // SAFETY: a poll looks a number up and says so if it is not open; if it is another file's by
        // now, all that comes of it is one look too many.
        let polled = |number| unsafe {
            PollFd::from_borrowed_fd(BorrowedFd::borrow_raw(number), PollFlags::IN)
        };
        let numbers = processes.iter().map(|(_, number)| *number);
        let mut fds: Vec<_> = [change.number()].into_iter().chain(numbers).map(polled).collect();
        match poll(&mut fds, Some(&IDLE)) {
            Ok(0) => {
                // Of a later watch, the loop learns by the generation.
                let idle =
                    WATCH.with(|watch| (watch.waits == 0).then(|| watch.take_if(generation)));
                if idle.is_some() {
                    return;
                }
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return announce(&WATCH.with(|watch| watch.take_if(generation))),
        }
        if !fds[0].revents().is_empty() {
            match change.get() {
                Some(change) => change.clear(),
                // The program has closed it, and so perhaps all.
                None => return announce(&WATCH.with(|watch| watch.take_if(generation))),
            }
        }
        let ended = processes.iter().zip(&fds[1..]).filter(|(_, fd)| !fd.revents().is_empty());
        let ended: Vec<_> = ended.map(|((who, _), _)| *who).collect();
        if !ended.is_empty() {
            announce(&WATCH.with(|watch| watch.remove(&ended)));
        }
    }
}

/// Wakes the threads that slept until a death of these processes, which are no longer watched.
fn announce(ended: &Watch) {
    futex::wake(&DEATHS, u32::MAX);
    if let Some(next_death) = ended.next_death.as_ref().and_then(KeptFd::get) {
        next_death.signal();
    }
}

extern "C" fn before_fork() {
    FORKING.fetch_add(1, Ordering::Relaxed);
    let watch = WATCH.with(Watch::take);
    if let Some(change) = watch.thread.as_ref().and_then(|thread| thread.change.get()) {
        change.signal();
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
