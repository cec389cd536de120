//! Running models.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::JoinHandle;

use crate::world::{self, Died};

/// How long a deep run explores one model; what is left then is left out, and the output says so.
const LONGEST: Duration = Duration::from_secs(40);

/// How a model is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Model {
    /// Preemptions that are explored in a short run and in a deep one.
    preemptions: (usize, usize),
    time_passes: bool,
}

impl Model {
    /// A model of so many preemptions in a short run, and in a deep one.
    #[must_use]
    pub fn of(short: usize, deep: usize) -> Self {
        Self { preemptions: (short, deep), time_passes: false }
    }

    /// Sleeps time out although no process is dead.
    #[must_use]
    pub fn in_which_time_passes(self) -> Self {
        Self { time_passes: true, ..self }
    }

    /// Runs the model through its interleavings; the calling thread is process 1.
    pub fn run(self, model: impl Fn() + Send + Sync + 'static) {
        let is_deep = std::env::var("MILLPOND_MODELS").is_ok_and(|depth| depth == "deep");
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 20_000;
        builder.preemption_bound =
            Some(if is_deep { self.preemptions.1 } else { self.preemptions.0 });
        if is_deep {
            builder.max_duration = Some(LONGEST);
        }
        let started = Instant::now();
        let executions = Arc::new(AtomicUsize::new(0));
        let executed = Arc::clone(&executions);
        builder.check(move || {
            executed.fetch_add(1, Ordering::Relaxed);
            world::start(self.time_passes);
            model();
        });
        let name = std::thread::current().name().unwrap_or("a model").to_owned();
        let preemptions = builder.preemption_bound.unwrap_or_default();
        let how = if is_deep && started.elapsed() >= LONGEST { "up to" } else { "all with" };
        let executions = executions.load(Ordering::Relaxed);
        println!("{name}: {executions} executions, {how} {preemptions} preemptions");
    }
}

/// A thread of a model.
#[derive(Debug)]
pub struct Process<T>(JoinHandle<Option<T>>, Arc<AtomicBool>);

impl<T: 'static> Process<T> {
    /// A process of this number, from 2 on.
    pub fn run(number: u32, body: impl FnOnce() -> T + 'static) -> Self {
        Self::spawn(number, 0, None, body)
    }

    /// A second thread of a process.
    pub fn thread(number: u32, thread: u64, body: impl FnOnce() -> T + 'static) -> Self {
        Self::spawn(number, thread, None, body)
    }

    /// A process that dies at this crash point, should it come by there.
    pub fn dies_at(point: &'static str, number: u32, body: impl FnOnce() -> T + 'static) -> Self {
        Self::spawn(number, 0, Some(point), body)
    }

    fn spawn(
        number: u32,
        thread: u64,
        point: Option<&'static str>,
        body: impl FnOnce() -> T + 'static,
    ) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = loom::thread::spawn(move || {
            world::become_thread(number, thread, point);
            let result = match catch_unwind(AssertUnwindSafe(body)) {
                Ok(result) => Some(result),
                Err(death) if death.is::<Died>() => None,
                Err(panic) => resume_unwind(panic),
            };
            end.store(true, Ordering::Release);
            result
        });
        Self(thread, ended)
    }

    /// Whether it has ended or died.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    /// Waits for its end: what it came to, `None` if it died.
    ///
    /// # Panics
    /// If the thread did.
    pub fn join(self) -> Option<T> {
        self.0.join().expect("a thread of the model panicked")
    }
}

/// Ends the calling process here and now.
pub fn die() {
    world::die();
}
