//! The link between a pool and one worker: two rings, an event count, and what the worker is doing.
//!
//! Each worker has a link of its own, in memory that is thrown away with it, so nothing that a
//! worker breaks by dying is ever used again. See `pool/README.md` for the protocol.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::channel::ring::{Consumer, Line, Producer, Ring, largest_body};
use crate::os::fork;
use crate::shm::segment::Segment;
use crate::sync::event_count::{EventCount, Notify};

const RING_BYTES: usize = 256 << 10;
const RINGS_START: usize = 4096;
const FIXED_BYTES: usize = RINGS_START + 2 * RING_BYTES;
/// Stands for the task of a worker that holds none. Neither zeros nor holes look like it: if a
/// worker wipes its link, the task that it had begun must not look as if it had not.
const NO_TASK: u64 = u64::from_le_bytes(*b"no task.");
/// Changes with every change of the shared layout.
const LAYOUT: u32 = 5;
/// Stands in its place from the moment on at which the link has a worker.
const ATTACHED: u32 = !LAYOUT;

/// The largest frame body that a link carries inline.
pub(crate) const LARGEST_FRAME: usize = largest_body(RING_BYTES);

#[derive(Debug)]
#[repr(C)]
struct Header {
    layout: AtomicU32,
    /// 1 when the pool ends now.
    ending: AtomicU32,
    /// The worker's quota of tasks, 0 for none.
    quota: AtomicU64,
    /// The task that the worker is warned of, 0 for none, and how long that may take, in nanoseconds.
    warned: AtomicU64,
    allowed: AtomicU64,
    tasks: [Line<AtomicU64>; 2],
    results: [Line<AtomicU64>; 2],
    worker_event_count: Line<EventCount>,
    activity: Line<Activity>,
}

const _: () = assert!(size_of::<Header>() <= RINGS_START);

/// What the worker is doing, written by the worker alone and read after its death.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Activity {
    /// The task that the worker holds, or [`NO_TASK`].
    task: AtomicU64,
    /// Which items of the task's chunk it is at: the first in the low half, how many in the high.
    items: AtomicU64,
    /// How many handles of an item's arguments have arrived: the item in the low half, the number in
    /// the high. It means nothing for items behind that one.
    arrived: AtomicU64,
    /// 1 while it waits for room in the result ring.
    blocked: AtomicU32,
    /// 1 once it handles the signal that warns of a task that takes too long.
    heeds: AtomicU32,
    /// When it began the task, in monotonic nanoseconds.
    began: AtomicU64,
}

/// What a dead worker was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastActivity {
    /// The task that it held, `None` for none. Any number may stand here if the worker wrote nonsense.
    pub(crate) task: Option<u64>,
    /// The first of the items of the chunk that it was at.
    pub(crate) item: u32,
    /// How many items it was at.
    pub(crate) item_count: u32,
    /// How many handles to shared objects in that first item's arguments it had opened.
    pub(crate) arrived: u32,
    /// When it began the task, 0 if unknown.
    pub(crate) began: u64,
}

/// The pool's end of a link.
#[derive(Debug)]
pub(crate) struct PoolEnd {
    /// Carries tasks to the worker.
    pub(crate) tasks: Producer,
    /// Brings results from it.
    pub(crate) results: Consumer,
    header: NonNull<Header>,
    segment: Segment,
}

/// The worker's end of a link.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    /// Brings tasks from the pool.
    pub(crate) tasks: Consumer,
    /// Carries results to it.
    pub(crate) results: Producer,
    header: NonNull<Header>,
    segment: Arc<Segment>,
}

/// Where a worker notes which handles among its arguments it has opened; from `WorkerEnd::arrivals`.
#[derive(Clone, Debug)]
pub struct Arrivals {
    segment: Arc<Segment>,
    depth: u32,
}

// SAFETY: the header lies in the segment, which the end owns, and is only accessed as atomics.
unsafe impl Send for PoolEnd {}
// SAFETY: as above.
unsafe impl Send for WorkerEnd {}
// SAFETY: as above; the rings' ends are for shared use where they take shared references.
unsafe impl Sync for PoolEnd {}
// SAFETY: as above.
unsafe impl Sync for WorkerEnd {}

fn header(segment: &Segment) -> NonNull<Header> {
    segment.fixed().cast()
}

/// The rings of tasks and of results, both of them new.
///
/// # Safety
/// The segment outlives their ends, of which there is one of each kind.
unsafe fn rings(segment: &Segment) -> [Ring; 2] {
    // SAFETY: the header lies in mapped memory, page-aligned; any bits are valid atomics.
    let header = unsafe { header(segment).as_ref() };
    let mut start = RINGS_START;
    [&header.tasks, &header.results].map(|cursors| {
        let cursors = cursors.each_ref().map(|line| NonNull::from(&line.0));
        // SAFETY: the fixed part is FIXED_BYTES long, which holds both rings; the rest is the caller's.
        let ring = unsafe { Ring::new(cursors, segment.fixed().add(start), RING_BYTES) };
        start += RING_BYTES;
        ring
    })
}

/// Whether the pool has told the worker of this link to end. A link that cannot be read is not ending.
#[must_use]
pub fn is_ending(link: BorrowedFd<'_>) -> bool {
    let mut word = [0; 4];
    let place = std::mem::offset_of!(Header, ending) as u64;
    rustix::io::pread(link, &mut word, place) == Ok(word.len()) && u32::from_ne_bytes(word) != 0
}

impl PoolEnd {
    /// A link in new memory, for a worker yet to be started. It takes `quota` tasks in its life, if
    /// that is limited: what a worker is told lies where no other can write.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub(crate) fn create(quota: Option<u64>) -> io::Result<Self> {
        let segment = Segment::create("millpond-link", FIXED_BYTES)?;
        let header = header(&segment);
        // SAFETY: mapped, page-aligned memory that no other process knows of yet.
        let told = unsafe { header.as_ref() };
        // Relaxed: the worker is started, and so synchronised with, afterwards.
        told.layout.store(LAYOUT, Ordering::Relaxed);
        told.quota.store(quota.unwrap_or(0), Ordering::Relaxed);
        told.activity.0.task.store(NO_TASK, Ordering::Relaxed);
        // SAFETY: the segment, which is dropped last, keeps the memory mapped; it is new, so
        // there are no other ends, and the worker takes the opposite ones.
        let [tasks, results] = unsafe { rings(&segment) };
        let (tasks, results) = (Producer::new(tasks, 0, 0), Consumer::new(results, 0, 0));
        Ok(Self { tasks, results, header, segment })
    }

    fn header(&self) -> &Header {
        // SAFETY: the segment is mapped as long as `self` lives.
        unsafe { self.header.as_ref() }
    }

    /// Tells the worker that there are new tasks, or room for results.
    pub(crate) fn notify(&self) {
        let watched = self.header().worker_event_count.0.notify(Notify::Eager);
        debug_assert!(!watched, "a worker has no watcher");
    }

    /// Tells the worker, which may be asleep, that the pool ends now.
    pub(crate) fn end(&self) {
        // Release: pairs with `is_ending`; it guards no data.
        self.header().ending.store(1, Ordering::Release);
        self.notify();
    }

    /// Notes that the worker is to be warned of its task, which may take `allowed` nanoseconds; a signal
    /// is to follow. Whether the worker handles that.
    #[must_use]
    pub(crate) fn warn(&self, task: u64, allowed: u64) -> bool {
        let header = self.header();
        // Relaxed: whatever it says, a worker that handles no signal is the only one to suffer.
        if header.activity.0.heeds.load(Ordering::Relaxed) == 0 {
            return false;
        }
        header.allowed.store(allowed, Ordering::Relaxed);
        // Release: pairs with `WorkerEnd::warned`, which reads what is allowed.
        header.warned.store(task, Ordering::Release);
        true
    }

    /// Takes a warning back: its task has ended, and may be tried again under the same number.
    pub(crate) fn unwarn(&self) {
        self.header().warned.store(0, Ordering::Relaxed);
    }

    /// Wakes the worker if it waits for room in the result ring. Call after results were taken.
    pub(crate) fn unblock(&self) {
        // SeqCst fence: pairs with the one in `WorkerEnd::block`; either the worker sees the room
        // or this sees that it is blocked.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.header().activity.0.blocked.load(Ordering::Relaxed) != 0 {
            self.notify();
        }
    }

    /// What the worker was doing last. Exact once it is dead.
    #[must_use]
    pub(crate) fn last_activity(&self) -> LastActivity {
        let activity = &self.header().activity.0;
        // Acquire: pairs with `WorkerEnd::hold`.
        let task = activity.task.load(Ordering::Acquire);
        let (item, item_count) = halves(activity.items.load(Ordering::Relaxed));
        let (of_item, arrived) = halves(activity.arrived.load(Ordering::Relaxed));
        LastActivity {
            task: Some(task).filter(|&task| task != NO_TASK),
            item,
            item_count,
            arrived: if of_item == item { arrived } else { 0 },
            began: activity.began.load(Ordering::Relaxed),
        }
    }
}

impl AsFd for PoolEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}

impl WorkerEnd {
    /// The worker's end of the link behind `fd`.
    ///
    /// # Errors
    /// The system's; `InvalidData` if another version of the engine made the link; `AlreadyExists` if
    /// the link has a worker already.
    pub(crate) fn attach(fd: OwnedFd) -> io::Result<Self> {
        let segment = Arc::new(Segment::attach(fd, FIXED_BYTES)?);
        let header = header(&segment);
        // SAFETY: mapped, page-aligned memory.
        let layout = unsafe { &header.as_ref().layout };
        // Relaxed: what the pool wrote before came with the descriptor.
        match layout.compare_exchange(LAYOUT, ATTACHED, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {}
            Err(ATTACHED) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {
                let message = "the pool and its worker are different versions of millpond";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        // SAFETY: the segment keeps the memory mapped; the exchange succeeds once in the life of a link,
        // so it has one worker.
        let [tasks, results] = unsafe { rings(&segment) };
        let (tasks, results) = (Consumer::new(tasks, 0, 0), Producer::new(results, 0, 0));
        Ok(Self { tasks, results, header, segment })
    }

    fn header(&self) -> &Header {
        // SAFETY: the segment is mapped as long as `self` lives.
        unsafe { self.header.as_ref() }
    }

    /// How many tasks the worker takes in its life, if that is limited.
    #[must_use]
    pub(crate) fn quota(&self) -> Option<u64> {
        Some(self.header().quota.load(Ordering::Relaxed)).filter(|&n| n > 0)
    }

    /// Whether the pool ends now, so that a worker which survives SIGTERM takes no more tasks.
    #[must_use]
    pub(crate) fn is_ending(&self) -> bool {
        // Acquire: pairs with `PoolEnd::end`.
        self.header().ending.load(Ordering::Acquire) != 0
    }

    /// Says that this worker handles the signal of warnings.
    pub(crate) fn heed_warnings(&self) {
        self.header().activity.0.heeds.store(1, Ordering::Relaxed);
    }

    /// The task that the pool warns of, 0 for none, and how long it may take, in nanoseconds.
    #[must_use]
    pub(crate) fn warned(&self) -> (u64, u64) {
        // Acquire: pairs with `PoolEnd::warn`.
        let task = self.header().warned.load(Ordering::Acquire);
        (task, self.header().allowed.load(Ordering::Relaxed))
    }

    /// The event count that the pool notifies.
    #[must_use]
    pub(crate) fn event_count(&self) -> &EventCount {
        &self.header().worker_event_count.0
    }

    /// Says that the worker holds `task`, or none, since `began` (0 for "unknown").
    pub(crate) fn hold(&self, task: Option<u64>, began: u64) {
        let activity = &self.header().activity.0;
        activity.items.store(1 << 32, Ordering::Relaxed);
        activity.arrived.store(0, Ordering::Relaxed);
        activity.began.store(began, Ordering::Relaxed);
        // Release: an owner that sees the task sees its progress. The store also comes before the
        // release of the task's frame, so a frame that is gone has its holder on record.
        activity.task.store(task.unwrap_or(NO_TASK), Ordering::Release);
    }

    /// Says which items of its chunk the worker is at.
    pub(crate) fn at_items(&self, first: u32, count: u32) {
        let items = u64::from(first) | u64::from(count) << 32;
        self.header().activity.0.items.store(items, Ordering::Relaxed);
    }

    /// Where to note which handles among the arguments have been opened.
    #[must_use]
    pub(crate) fn arrivals(&self) -> Arrivals {
        Arrivals { segment: Arc::clone(&self.segment), depth: fork::depth() }
    }

    /// Says whether the worker waits for room in the result ring. Look for room again after
    /// saying that it does.
    pub(crate) fn block(&self, blocked: bool) {
        self.header().activity.0.blocked.store(u32::from(blocked), Ordering::Relaxed);
        // SeqCst fence: see `PoolEnd::unblock`.
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// The segment whose heap carries the worker's large results.
    #[must_use]
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl Arrivals {
    /// One more handle of the item that the worker is at has been opened. A death just before this
    /// has it taken back although it was used, which is the lesser evil: the other way round it
    /// would be kept for ever. A child that the worker forked has nothing to say here.
    pub fn note(&self) {
        if self.depth != fork::depth() {
            return;
        }
        // SAFETY: the header lies in the segment, mapped as long as `self` lives; any bits are valid
        // atomics.
        let activity = &unsafe { header(&self.segment).as_ref() }.activity.0;
        // Relaxed: the worker's own words. One store says it all, so a death leaves no half of it.
        let (item, _) = halves(activity.items.load(Ordering::Relaxed));
        let (of_item, count) = halves(activity.arrived.load(Ordering::Relaxed));
        let count = if of_item == item { count.saturating_add(1) } else { 1 };
        activity.arrived.store(u64::from(item) | u64::from(count) << 32, Ordering::Relaxed);
    }
}

/// The low half of a word, and the high one.
#[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
