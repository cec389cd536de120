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
    /// Whether the thread looks at no process, as one has died on which no wait relied.
    is_idle: bool,
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
    let tables = tables::lock();
    let generation = watch_also(&others, memory);
    drop(tables);
    generation.map(|generation| Subscription { generation })
}

/// Watches the members of this memory too, for one more wait. The tables are locked: no fork happens,
/// so no child inherits the descriptors, and no other thread adds any. They are opened before the watch
/// is taken, for which others spin.
fn watch_also(others: &[ProcessId], memory: (Inode, u32)) -> Option<u64> {
    let (generation, known) = WATCH.with(|watch| {
        let names = watch.processes.iter().map(|(who, _)| *who);
        (watch.generation, names.collect::<Vec<_>>())
    });
    let new: Vec<_> = others.iter().filter(|who| !known.contains(who)).collect();
    if known.len() + new.len() > max_processes() {
        return None;
    }
    let open = |who: &ProcessId| {
        // One that is dead and whose memory somebody has still would be watched in vain.
        let process = who.open().filter(|process| process.is_alive().unwrap_or(false));
        Some((*who, process.and_then(KeptFd::new)?))
    };
    let mut opened = new.into_iter().map(open).collect::<Option<Vec<_>>>()?;
    WATCH.with(|watch| {
        // Otherwise it has begun anew, and what was known is watched no longer.
        let is_same = watch.generation == generation;
        is_same.then(|| watch.add(&mut opened, memory)).flatten()
    })
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
            is_idle: false,
            processes: Vec::new(),
            memory: Vec::new(),
            next_death: None,
        }
    }

    /// One more wait relies on it, if the members of this memory are watched.
    fn enter(&mut self, memory: (Inode, u32)) -> Option<u64> {
        let thread = self.thread.as_ref().filter(|_| self.memory.contains(&memory))?;
        if self.is_idle {
            thread.change.get()?.signal();
            self.is_idle = false;
        }
        self.waits += 1;
        Some(self.generation)
    }

    /// Watches these, of which none is watched yet. What has died since they were chosen is counted in
    /// [`DEATHS`], which the caller has read before.
    fn add(
        &mut self,
        opened: &mut Vec<(ProcessId, KeptFd<PidFd>)>,
        memory: (Inode, u32),
    ) -> Option<u64> {
        // Relaxed: a thread that forks counts itself before it takes the watch, with the lock held.
        if FORKING.load(Ordering::Relaxed) > 0 {
            return None;
        }
        match &self.thread {
            // If the program has closed it, the thread ends this watch.
            Some(thread) => thread.change.get()?.signal(),
            None => self.thread = Some(Thread::start(self.generation).ok()?),
        }
        self.processes.append(opened);
        self.memory.retain(|(known, _)| *known != memory.0);
        // The oldest may be gone; what is waited for in it is asked for anew.
        self.memory.truncate(MEMORIES - 1);
        self.memory.insert(0, memory);
        self.enter(memory)
    }

    /// Some of the processes have ended, which it forgets. Where no wait relies on it, it only goes idle
    /// until one does: processes that end together are not to wake each other.
    fn hear(&mut self, ended: &[ProcessId]) -> Self {
        self.is_idle = self.waits == 0;
        if self.is_idle { Self::new() } else { self.remove(ended) }
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
        let processes = watch.processes.iter().filter(|_| !watch.is_idle);
        let processes = processes.map(|(who, fd)| (*who, fd.number()));
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
            announce(&WATCH.with(|watch| watch.hear(&ended)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_dozes_from_a_death_on_which_no_wait_relies() {
        let mut watch = Watch { waits: 1, ..Watch::new() };
        watch.hear(&[]);
        assert!(!watch.is_idle);
        watch.waits = 0;
        watch.hear(&[]);
        assert!(watch.is_idle);
    }
}
