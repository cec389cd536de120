//! A pool of echo workers for the engine's tests.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millpond_core::os::exec::Exec;
use millpond_core::os::fork::{self, exit_now};
use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::payload::{Part, Parts};
use millpond_core::pool::task::{JobId, NewTask, Outcome};
use millpond_core::pool::worker::{Next, Worker};
use millpond_core::pool::zygote::client::{NewZygote, ZygoteSource};
use millpond_core::pool::zygote::server::{Zygote, ZygoteFds};
use millpond_core::pool::{Config, Pool, Waited};

/// The variable that makes this program a zygote.
const ZYGOTE: &str = "MILLPOND_TEST_ZYGOTE";

/// What a worker of these tests does with a payload.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Op {
    /// Sends it back.
    Echo = 0,
    /// Kills itself.
    Die = 1,
    /// Sleeps for as many milliseconds as its first byte says, then sends it back.
    Sleep = 2,
    /// Ends with exit code 7.
    Exit = 3,
    /// Reports its pid.
    Pid = 4,
    /// Adds a byte to the file that it names.
    Note = 5,
    /// Waits until the file that it names exists.
    Hold = 6,
    /// Adds a byte to a file, and waits until that has as many bytes as the first byte says. The others
    /// name the file.
    Meet = 7,
}

struct ThisProgram;

impl ZygoteSource for ThisProgram {
    fn start(&self, fds: ZygoteFds) -> io::Result<NewZygote> {
        let fds = [&fds.socket, &fds.control_block, &fds.watcher, &fds.lifeline];
        let numbers = fds.map(|fd| fd.as_raw_fd().to_string()).join(" ");
        let role = format!("{numbers} {}", fork::pid());
        let exec = Exec::this_program().variable(ZYGOTE, &role);
        let exec = fds.into_iter().map(AsFd::as_fd).fold(exec, Exec::inherit);
        Ok(NewZygote::child(exec.start()?.pid))
    }
}

/// A source that panics when the supervisor asks for its age, once it is told to.
struct Faulty(Arc<AtomicBool>);

impl ZygoteSource for Faulty {
    fn start(&self, fds: ZygoteFds) -> io::Result<NewZygote> {
        ThisProgram.start(fds)
    }

    fn ages(&self) -> bool {
        assert!(!self.0.load(Ordering::Relaxed), "as this test wants it");
        false
    }
}

/// A pool in whose care the supervisor panics from the moment that the switch is set.
pub(crate) fn faulty_pool(processes: usize) -> (Pool, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(false));
    let config = Config { processes, tasks_per_worker: None, traced: false, fragile: false };
    let pool = Pool::start(config, Box::new(Faulty(Arc::clone(&switch)))).expect("a pool");
    (pool, switch)
}

/// Becomes a zygote if this process was started as one. Call first in `main`.
pub(crate) fn init() {
    let Ok(role) = std::env::var(ZYGOTE) else {
        return;
    };
    let numbers: Vec<i32> = role.split(' ').map(|n| n.parse().expect("a number")).collect();
    // SAFETY: the parent passed these descriptors to this process, which has just begun.
    let fd = |index: usize| unsafe { OwnedFd::from_raw_fd(numbers[index]) };
    let fds = ZygoteFds { socket: fd(0), control_block: fd(1), watcher: fd(2), lifeline: fd(3) };
    let zygote = Zygote::new(fds, numbers[4].cast_unsigned()).expect("a zygote");
    // SAFETY: this process has one thread.
    let new = unsafe { zygote.serve() }.expect("a worker");
    new.unblock_signals().expect("a mask");
    work(Worker::attach(new.fds).expect("a link"));
    exit_now(0);
}

fn add_byte(path: &Path) -> io::Result<()> {
    File::options().create(true).append(true).open(path)?.write_all(b"x")
}

fn work(mut worker: Worker) {
    worker.ready().expect("ready");
    loop {
        match worker.next_task().expect("an intact link") {
            Next::Task(task) => {
                let payload = task.payload.expect("room for the arguments");
                let bytes = payload.part(0);
                match task.op {
                    1 => rustix::process::kill_process(
                        rustix::process::getpid(),
                        rustix::process::Signal::KILL,
                    )
                    .expect("a signal"),
                    2 => std::thread::sleep(Duration::from_millis(bytes[0].into())),
                    3 => exit_now(7),
                    5 => add_byte(Path::new(OsStr::from_bytes(bytes))).expect("a file"),
                    6 => {
                        while !Path::new(OsStr::from_bytes(bytes)).exists() {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                    7 => {
                        let path = Path::new(OsStr::from_bytes(&bytes[1..]));
                        add_byte(path).expect("a file");
                        while path.metadata().expect("the file").len() < bytes[0].into() {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                    _ => {}
                }
                let pid = fork::pid().to_le_bytes();
                let result: &[u8] = if task.op == Op::Pid as u8 { &pid } else { bytes };
                worker.finish(0, Parts(&[&result])).expect("room for the result");
            }
            Next::Leave => return,
            Next::Interrupted => {}
        }
    }
}

pub(crate) fn pool(processes: usize) -> Pool {
    configured(Config { processes, tasks_per_worker: None, traced: false, fragile: false })
}

pub(crate) fn configured(config: Config) -> Pool {
    Pool::start(config, Box::new(ThisProgram)).expect("a pool")
}

pub(crate) fn submit(pool: &Pool, tasks: &[(Op, &[u8])]) -> JobId {
    submit_with(pool, tasks, false)
}

pub(crate) fn submit_with(pool: &Pool, tasks: &[(Op, &[u8])], fail_fast: bool) -> JobId {
    let spec = JobSpec { function: b"echo", label: "echo", fail_fast };
    submit_as(pool, &spec, tasks)
}

pub(crate) fn submit_as(pool: &Pool, spec: &JobSpec<'_>, tasks: &[(Op, &[u8])]) -> JobId {
    let parts: Vec<[&dyn Part; 1]> = tasks.iter().map(|(_, bytes)| [bytes as &dyn Part]).collect();
    let mut tasks: Vec<_> = tasks
        .iter()
        .zip(&parts)
        .map(|((op, _), parts)| NewTask {
            op: *op as u8,
            items: 1,
            payload: Parts(parts),
            captured_handles: None,
        })
        .collect();
    pool.submit(spec, &mut tasks, true).expect("a running pool")
}

pub(crate) fn wait(pool: &Pool, job: JobId, target: Target) {
    while pool.wait(job, target, None).expect("our pool") != Waited::Reached {}
}

/// The outcomes of a job; a word for each task without a result.
pub(crate) fn outcomes(pool: &Pool, job: JobId) -> Vec<Result<Vec<u8>, &'static str>> {
    wait(pool, job, Target::All);
    let outcomes = pool.take_all(job).expect("our pool");
    pool.abandon(job);
    let show = |outcome| match outcome {
        Some(Outcome::Finished { payload, .. }) => Ok(payload.part(0).to_vec()),
        Some(Outcome::Crashed(_)) => Err("crashed"),
        Some(Outcome::Cancelled(_)) => Err("cancelled"),
        Some(Outcome::NoMemory { .. }) => Err("no memory"),
        None => Err("unfinished"),
    };
    outcomes.into_iter().map(show).collect()
}

/// Closes the pool and checks that it comes to its end.
pub(crate) fn close_and_join(pool: &Pool) {
    pool.close().expect("our pool");
    while pool.wait_ended(None).expect("our pool") != Waited::Reached {}
}

/// Ends this process with a report if the tests do not come to an end.
pub(crate) fn watchdog(limit: Duration) {
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            let end = Instant::now() + limit;
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(200));
            }
            for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
                for file in ["comm", "wchan", "syscall", "stack"] {
                    let text = std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
                    eprintln!("{}: {file}: {}", task.path().display(), text.trim());
                }
            }
            eprintln!("the tests hang");
            std::process::abort();
        })
        .expect("a thread");
}

/// Runs the named tests one after the other, and checks that each leaves nothing behind.
pub(crate) fn run(tests: &[(&str, fn())]) {
    let only = std::env::args().nth(1).filter(|a| !a.starts_with('-'));
    let mut count = 0;
    for (name, test) in tests {
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let before = descriptors();
        test();
        // The supervisor lets go of a pool an instant after it said that the pool has ended. The
        // watchdog bounds the wait.
        while descriptors() > before {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(children(), 0, "{name} leaves processes");
        println!("test {name} ... ok");
        count += 1;
    }
    println!("\ntest result: ok. {count} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc").flatten();
    let children = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    children.map(|c| c.split_whitespace().count()).sum()
}
