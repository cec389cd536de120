//! Tasks and how they end.

use std::sync::Arc;
use std::time::Duration;

use crate::os::exit_status::ExitStatus;
use crate::pool::captured_handles::{Arrived, CapturedHandles};
use crate::pool::payload::{Parts, Payload};
use crate::pool::tries::Tries;
use crate::shm::heap::BlockRef;

/// Names a task within its pool; 0 is never used.
pub(crate) type TaskId = u64;
/// Names a job (one call of the pool: an `apply`, a `map`, …) within its pool.
pub type JobId = u64;
/// Names a function within its pool.
pub(crate) type FunctionId = u32;

/// The bits of a result's status that say how its payload is to be read. The others say how the
/// task ended: 0 that it was done.
pub const FORMAT: u8 = 0xc0;
pub use crate::channel::attachments::HANDLES;
/// The bit of a result's status that asks for the task to be tried again, if it may be.
pub const AGAIN: u8 = 0x20;

/// A task to be submitted: one call, or one chunk of items.
#[derive(Debug)]
pub struct NewTask<'a> {
    /// How the worker is to apply the function; the binding's business.
    pub op: u8,
    /// How many items the chunk has.
    pub items: u32,
    /// The arguments.
    pub payload: Parts<'a>,
    /// What the arguments lead to, if they have handles. Taken when the task is.
    pub captured_handles: Option<Box<dyn CapturedHandles>>,
}

/// A task that waits for a worker.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) job: JobId,
    /// Which task of its job it is.
    pub(crate) index: u64,
    pub(crate) function: FunctionId,
    pub(crate) op: u8,
    pub(crate) items: u32,
    pub(crate) parts: u32,
    pub(crate) body: Body,
    pub(crate) captured_handles: Option<Box<dyn CapturedHandles>>,
    /// Whether it may take so long and no longer.
    pub(crate) timed: bool,
    /// If it may be tried again.
    pub(crate) tries: Option<Box<Tries>>,
    pub(crate) priority: i32,
    /// When it came; 0 if there were no priorities then.
    pub(crate) came_ns: u64,
}

/// Where the arguments of a waiting task are.
#[derive(Debug)]
pub(crate) enum Body {
    Inline(Vec<u8>),
    Block(BlockRef),
}

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// The worker sent this, with a status that the binding chose.
    Finished {
        /// The binding's status.
        status: u8,
        /// The result, or what failed. Shared, so that it is still there if decoding it is interrupted.
        payload: Arc<Payload>,
    },
    /// The worker died while it had the task.
    Crashed(Arc<Crash>),
    /// It will not run: the pool was terminated or broke, or its job was given up.
    Cancelled(Reason),
    /// The pool's owner has no memory for something that the task needs; no worker died of it.
    NoMemory {
        /// What there is no memory for.
        wanted: Wanted,
        /// The system's error.
        error: std::io::Error,
    },
}

/// What no thread will ask for: the handles in it are settled as it is dropped.
#[derive(Debug)]
pub(crate) struct Unwanted(
    #[expect(dead_code, reason = "it is dropped, not used")] pub(crate) Outcome,
);

impl CapturedHandles for Unwanted {
    fn settle(self: Box<Self>, _: Arrived) {}
}

/// What the memory was wanted for that the pool's owner does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To send a worker the task's function. The task has not run.
    Function,
    /// To take in the result, which is lost.
    Result,
}

/// What is known of the death of a worker that had a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The worker's pid.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// The function, as the binding named it.
    pub function: Arc<str>,
    /// Which task of its job.
    pub index: u64,
    /// How many items the task's chunk had.
    pub items: u32,
    /// The first of those that the worker was at.
    pub item: u32,
    /// How many it was at: one, unless items are worked on in blocks.
    pub item_count: u32,
    /// What brought the end about, as far as it was not the task.
    pub cause: CrashCause,
    /// How the worker was to apply the function; the binding's business.
    pub op: u8,
    /// How long the task had run, if that is known.
    pub ran: Option<Duration>,
    /// How long it may have run, if that was limited.
    pub timeout: Option<Duration>,
    /// The workers that it has killed, this one included, if it may be tried again.
    pub deaths: Vec<(u32, ExitStatus)>,
}

/// Why a worker died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashCause {
    /// It ended by itself or was killed.
    Died,
    /// The zygote was killed, and its workers went with it.
    ZygoteDied,
    /// It wrote nonsense into its link, so the pool killed it.
    Corrupt,
    /// The task took longer than it may, so the pool killed it.
    TimedOut,
    /// The task was cancelled while it ran, so the pool killed it.
    Cancelled,
}

/// Why a task will not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The pool was terminated.
    Terminated,
    /// Its job was cancelled before a worker began the task.
    Cancelled,
    /// Another task of its job crashed, and the job needs all of them.
    JobFailed,
    /// The pool is broken, with what broke it.
    Broken(Arc<Breakage>),
}

/// What broke a pool for good.
#[derive(Debug)]
pub enum Breakage {
    /// A worker reported that it cannot be set up, with what the binding says of it.
    Unfit {
        /// The binding's status.
        status: u8,
        /// The binding's account.
        payload: Payload,
    },
    /// Workers end before they are ready, again and again.
    WorkersDie(ExitStatus),
    /// A worker died, and the pool was to be [fragile](crate::pool::Config::fragile).
    WorkerDied {
        /// The worker's pid.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
    },
    /// No worker, or no zygote, can be started.
    CannotStart(std::io::Error),
}

impl PartialEq for Breakage {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Breakage {}
