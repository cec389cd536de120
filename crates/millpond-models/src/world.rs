//! What a model has beside memory: processes that die, sleepers, and time.

use std::cell::Cell;
use std::time::Duration;

use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};

use crate::os::futex::Woken;

/// How many processes a model may have, numbered from 1.
const PROCESSES: usize = 6;
/// How long a sleep lasts until a wake, so that a thread that slept twice has waited long.
const NAP: Duration = Duration::from_millis(1);

struct World {
    dead: [AtomicBool; PROCESSES],
    bed: Mutex<Bed>,
    risen: Condvar,
    steps: AtomicU32,
}

/// The sleeping threads, and the words on which they sleep.
#[derive(Default)]
struct Bed {
    sleepers: Vec<(usize, u64)>,
    last: u64,
    /// Whether sleeps time out.
    time_passes: bool,
}

loom::lazy_static! {
    static ref WORLD: World = World {
        dead: std::array::from_fn(|_| AtomicBool::new(false)),
        bed: Mutex::new(Bed::default()),
        risen: Condvar::new(),
        steps: AtomicU32::new(0),
    };
}

loom::thread_local! {
    static PROCESS: Cell<u32> = Cell::new(1);
    static THREAD: Cell<u64> = Cell::new(0);
    static POINT: Cell<Option<&'static str>> = Cell::new(None);
    static LIVES: Cell<bool> = Cell::new(true);
}

thread_local! {
    // All threads of a model run on one thread of the system, in an order that loom repeats; so this
    // is as deterministic as they are.
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The end of a process.
pub(crate) struct Died;

/// Makes the calling thread this one of this process, to die at this point.
pub(crate) fn become_thread(process: u32, thread: u64, point: Option<&'static str>) {
    PROCESS.with(|cell| cell.set(process));
    THREAD.with(|cell| cell.set(thread));
    POINT.with(|cell| cell.set(point));
}

/// Starts the world of one execution of a model anew.
pub(crate) fn start(time_passes: bool) {
    TIME.set(Duration::ZERO);
    if time_passes {
        bed(|bed| bed.time_passes = true);
    }
}

fn bed<R>(change: impl FnOnce(&mut Bed) -> R) -> R {
    change(&mut WORLD.bed.lock().expect("no model panics in bed"))
}

pub(crate) fn current() -> u32 {
    PROCESS.with(Cell::get)
}

pub(crate) fn thread() -> u64 {
    THREAD.with(Cell::get)
}

pub(crate) fn time() -> Duration {
    TIME.get()
}

/// Whether the calling thread's process has not died.
pub(crate) fn lives() -> bool {
    LIVES.with(Cell::get)
}

pub(crate) fn is_dead(process: u32) -> bool {
    // Acquire: a thread that sees a death sees the dead process' stores.
    WORLD.dead[process as usize].load(Ordering::Acquire)
}

/// Dies if the calling thread was told to die at this point.
pub(crate) fn reach(point: &'static str) {
    if lives() && POINT.with(Cell::get) == Some(point) {
        die();
    }
}

/// Ends the calling thread's process, of which it is the only thread.
pub(crate) fn die() -> ! {
    LIVES.with(|lives| lives.set(false));
    WORLD.dead[current() as usize].store(true, Ordering::Release);
    bed(|bed| bed.time_passes = true);
    WORLD.risen.notify_all();
    // Without the panic hook's message.
    std::panic::resume_unwind(Box::new(Died));
}

/// A moment at which loom may let another thread run, although nothing of loom's is touched.
pub fn step() {
    WORLD.steps.fetch_add(1, Ordering::Relaxed);
}

/// Sleeps while `holds` says so, until a thread wakes the place or time passes.
pub(crate) fn sleep(place: usize, timeout: Option<Duration>, holds: impl Fn() -> bool) -> Woken {
    if !lives() {
        return Woken::Changed;
    }
    let mut bed = WORLD.bed.lock().expect("no model panics in bed");
    // Compared and gone to bed in one step, as the kernel does it.
    if !holds() {
        return Woken::Changed;
    }
    bed.last += 1;
    let me = (place, bed.last);
    bed.sleepers.push(me);
    loop {
        if !bed.sleepers.contains(&me) {
            TIME.set(time() + NAP);
            return Woken::Changed;
        }
        if let Some(timeout) = timeout.filter(|_| bed.time_passes) {
            bed.sleepers.retain(|sleeper| *sleeper != me);
            drop(bed);
            TIME.set(time() + timeout);
            // Others move on before this one looks again, as they do in a recheck interval.
            loom::thread::yield_now();
            return Woken::TimedOut;
        }
        bed = WORLD.risen.wait(bed).expect("no model panics in bed");
    }
}

/// Wakes up to `count` that sleep at the place, the first to come first; returns how many.
pub(crate) fn wake(place: usize, count: u32) -> u32 {
    if !lives() {
        return 0;
    }
    let woken = bed(|bed| {
        let mut woken = 0;
        bed.sleepers.retain(|sleeper| {
            let wakes = sleeper.0 == place && woken < count;
            woken += u32::from(wakes);
            !wakes
        });
        woken
    });
    if woken > 0 {
        WORLD.risen.notify_all();
    }
    woken
}
