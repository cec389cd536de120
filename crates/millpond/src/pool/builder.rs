//! A pool that is yet to be made.

use std::fmt;
use std::sync::Arc;

use millpond_core::cpu::cpu_count;
use millpond_core::os::fork;
use millpond_core::pool::{Config, Pool as Engine, PoolError};
use rustix::process::{Resource, getrlimit};

use super::bootstrap::Bootstrap;
use super::bounds::Limits;
use super::handle::Pool;
use super::initializer::Initialized;
use super::last_words::LastWords;
use super::shared::Shared;
use super::zygote::Source;
use crate::codec;
use crate::error::{Cause, Error, Result, Subject};
use crate::function::{Function, FunctionId, must_capture_nothing};
use crate::image::Image;
use crate::init;
use crate::message::Message;
use crate::process::identity::Identity;
use crate::wire_handle::{self, Kept};

/// Descriptors that this process has for each worker: its memory, its pidfd, a socket.
const DESCRIPTORS_EACH: usize = 3;
/// Descriptors for the rest of the pool and of the program.
const DESCRIPTORS_ELSEWHERE: usize = 32;
/// The kernel gives no more pids than this.
const MAX_PIDS: usize = 1 << 22;

/// Settings of a [`Pool`], from [`Pool::builder`].
///
/// Workers are this program started again. All of them, also those that take the places of others
/// later, have the environment and the directory that this process had when the pool was made (or when
/// the process that forks them was killed and had to be started anew).
///
/// ```
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pool = millpond::Pool::builder().workers(2).max_tasks_per_worker(100).build()?;
///     assert_eq!(pool.workers(), 2);
///     Ok(())
/// }
/// ```
#[must_use = "it makes a pool by `build`"]
#[derive(Default)]
pub struct PoolBuilder {
    pub(super) workers: Option<usize>,
    pub(super) limits: Limits,
    initializer: Option<Result<Initializer>>,
    max_tasks_per_worker: Option<u64>,
    trace: bool,
}

/// A function with its arguments, ready to travel.
struct Initializer {
    function: FunctionId,
    arguments: Vec<u8>,
    kept: Kept,
}

impl PoolBuilder {
    /// How many workers the pool keeps. Otherwise it is one for each CPU that this process may
    /// use, [`cpu_count`].
    #[doc(alias = "processes")]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self.limits.least = None;
        self
    }

    /// A function that every worker calls once, before its first task: to load a model, to open a
    /// connection, to seed a generator. It must capture nothing, as every
    /// [`Function`].
    ///
    /// If it panics or returns an error, the pool is broken: what was asked of it fails with
    /// [`ErrorKind::Broken`](crate::ErrorKind::Broken) and the message.
    ///
    /// ```
    /// use std::sync::OnceLock;
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// fn prepare() {
    ///     TABLE.set((0..100).map(|n| n * n).collect()).unwrap();
    /// }
    ///
    /// fn look_up(at: usize) -> u64 {
    ///     TABLE.get().unwrap()[at]
    /// }
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let pool = millpond::Pool::builder().workers(2).initializer(prepare).build()?;
    ///     assert_eq!(pool.map(look_up, [3, 5])?, [9, 25]);
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<F>(self, initializer: F) -> Self
    where
        F: Function<(), fn()>,
        F::Output: Initialized,
    {
        const { must_capture_nothing::<F>() }
        self.prepare(initializer, ())
    }

    /// An [initializer](Self::initializer) and its input: one argument, or several as a tuple. Each worker gets a copy;
    /// of what a handle of [`sync`](crate::sync) stands for there is one.
    ///
    /// ```
    /// use std::sync::OnceLock;
    ///
    /// use millpond::sync::Mutex;
    ///
    /// static TOTAL: OnceLock<Mutex<u64>> = OnceLock::new();
    ///
    /// fn prepare(total: Mutex<u64>) {
    ///     TOTAL.set(total).unwrap();
    /// }
    ///
    /// fn add(number: u64) {
    ///     *TOTAL.get().unwrap().lock().unwrap() += number;
    /// }
    ///
    /// fn main() -> Result<(), millpond::Error> {
    ///     millpond::init();
    ///     let total = Mutex::new(0)?;
    ///     let pool = millpond::Pool::builder()
    ///         .workers(2)
    ///         .initializer_with(prepare, total.clone())
    ///         .build()?;
    ///     pool.map(add, 1..=10)?;
    ///     assert_eq!(*total.lock()?, 55);
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer_with<F, Form, Input>(self, initializer: F, input: Input) -> Self
    where
        F: Function<Input, Form>,
        F::Output: Initialized,
        Input: Message,
    {
        const { must_capture_nothing::<F>() }
        self.prepare(initializer, input)
    }

    fn prepare<F, Form, Input>(mut self, initializer: F, input: Input) -> Self
    where
        F: Function<Input, Form>,
        F::Output: Initialized,
        Input: Message,
    {
        // As empty as what it captures.
        let call = move |input: Input| initializer.call(input).into_result();
        let (encoded, kept) = wire_handle::keeping(|| codec::encode(input));
        self.initializer = Some(FunctionId::of(call).and_then(|function| {
            let arguments = encoded.map_err(Cause::Codec)?;
            Ok(Initializer { function, arguments, kept })
        }));
        self
    }

    /// After how many tasks a worker makes room for a fresh one, for functions that leak. A chunk
    /// of [`map`](Pool::map) is one task. Otherwise workers stay.
    #[doc(alias = "max_tasks_per_child")]
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_worker(mut self, count: u64) -> Self {
        self.max_tasks_per_worker = Some(count);
        self
    }

    /// Whether the pool keeps a record of its run, for [`Pool::timeline`]. It grows with every
    /// task.
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// Makes the pool. Its workers start in the background.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): a number is 0, more workers are
    ///   asked for than the limit of open files allows, or the least number is above the largest.
    /// - [`NotInitialized`](crate::ErrorKind::NotInitialized): [`init`](crate::init) was not called
    ///   first in `main`.
    /// - [`Codec`](crate::ErrorKind::Codec): an argument of the initializer could not be encoded.
    /// - [`Io`](crate::ErrorKind::Io): processes, memory or file descriptors have run out.
    pub fn build(self) -> Result<Pool> {
        init::required()?;
        let processes = self.workers.unwrap_or_else(cpu_count);
        check(processes, self.max_tasks_per_worker)?;
        let (initializer, initializer_arguments, kept) = match self.initializer.transpose()? {
            Some(given) => (Some(given.function), given.arguments, given.kept),
            None => (None, Vec::new(), Kept::default()),
        };
        let bootstrap = Bootstrap {
            build: Image::of_this_program().build_id().clone(),
            owner_name: Identity::name_here().to_owned(),
            owner_pid: fork::pid(),
            owner_lineage: Identity::lineage_here().to_vec(),
            initializer,
            initializer_arguments,
        };
        let config = Config {
            processes: self.limits.bounds(processes)?,
            max_pending: self.limits.max_pending,
            ageing: self.limits.ageing,
            tasks_per_worker: self.max_tasks_per_worker,
            traced: self.trace,
            ..Config::default()
        };
        let is_limited = self.limits.max_pending.is_some();
        let last_words = Arc::new(LastWords::default());
        let source = Source { bootstrap, kept, last_words: Arc::clone(&last_words) };
        let engine = Engine::start(config, Box::new(source)).map_err(|error| {
            let source = match error {
                PoolError::Io(source) => source,
                other => std::io::Error::other(format!("{other:?}")),
            };
            Error::from(Cause::Io { what: "be started", source }).about(Subject::Pool { processes })
        })?;
        Ok(Pool::new_from(Arc::new(Shared::new(engine, processes, is_limited, last_words))))
    }
}

impl Pool {
    /// A pool of the given number of workers.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// Settings for a pool; without any it has one worker for each CPU.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }
}

pub(super) fn check(processes: usize, max_tasks_per_worker: Option<u64>) -> Result<()> {
    let invalid = |message: String| Err(Cause::InvalidInput(message).into());
    if processes == 0 {
        return invalid(
            "a pool needs at least one worker; leave `workers` out for one per CPU".to_owned(),
        );
    }
    if max_tasks_per_worker == Some(0) {
        return invalid(
            "`max_tasks_per_worker` must be at least 1; leave it out for workers that stay"
                .to_owned(),
        );
    }
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let most = (limit.saturating_sub(DESCRIPTORS_ELSEWHERE) / DESCRIPTORS_EACH).min(MAX_PIDS);
    if processes > most {
        return invalid(format!(
            "a pool of {processes} workers is too large: with three open files for each, the \
             limit of {limit} open files allows {most}; ask for fewer, or raise the limit \
             (`ulimit -n`)"
        ));
    }
    Ok(())
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("limits", &self.limits)
            .field("initializer", &self.initializer.is_some())
            .field("max_tasks_per_worker", &self.max_tasks_per_worker)
            .field("trace", &self.trace)
            .finish()
    }
}
