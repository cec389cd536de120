//! Process parallelism that does not hang.
//!
//! A process crashes alone, leaks alone and hangs alone; it has its own global state, its own
//! working directory, its own copy of a C library that is not safe for threads. This crate makes
//! a function call in another process as easy as one in another thread, and every way in which it
//! can go wrong an [`Error`] that says what happened, to whom.
//!
//! # In one minute
//!
//! ```
//! use millpond::{ErrorKind, Pool};
//!
//! fn count(text: String) -> usize {
//!     text.split_whitespace().count()
//! }
//!
//! fn crash() {
//!     std::process::abort();
//! }
//!
//! fn main() -> Result<(), millpond::Error> {
//!     millpond::init(); // first in main
//!
//!     let pool = Pool::new(4)?;
//!     let lines = ["so many words", "", "and more"].map(str::to_owned);
//!     assert_eq!(pool.map(count, lines)?, [3, 0, 2]);
//!
//!     let process = millpond::spawn(count, "so many words".to_owned())?;
//!     assert_eq!(process.join()?, 3);
//!
//!     let error = millpond::spawn(crash, ())?.join().unwrap_err();
//!     assert_eq!(error.kind(), ErrorKind::Crashed);
//!     assert_eq!(error.signal_name(), Some("SIGABRT"));
//!     Ok(())
//! }
//! ```
//!
//! # How it works
//!
//! - A child is this same program, started anew; [`init()`](crate::init) is where the two part.
//!   Nothing is shared that is not passed on, and no lock of this process is held there by a
//!   thread that does not exist, as after a `fork`.
//! - A [function](Function) travels as its place in the program, which is the same in both, as the
//!   build id shows. So it must be a plain `fn` or a closure that captures nothing; anything else
//!   is refused when the program is built.
//! - Arguments and results are serde values. Types of the standard library have a compact encoding,
//!   others one that describes itself. A `Vec<u8>` that is the whole argument or result is copied
//!   as it is; elsewhere there is [`Bytes`].
//! - What serde encodes need not be what it decodes, for instance where an enum has no tag or a
//!   field is only encoded. So a value of a type of one's own is decoded by its sender before it is
//!   sent, and refused with [`ErrorKind::Codec`] if what comes out encodes differently. That takes
//!   several times as long as the encoding alone; `Vec<f64>`, tuples of numbers and text, handles
//!   and the like need none of it. [`Message`] says what serde cannot tell.
//! - A result waits in memory that belongs to both, so that neither has to wait for the other.
//! - The workers of a [`Pool`] are forked, not started anew: by a process of this program that did
//!   nothing but `init()` and has one thread. So they are there within a millisecond, and do not
//!   have what this process has loaded since; [`PoolBuilder::initializer`] is for that.
//!
//! # Sharing
//!
//! What is passed to a process is a copy, except for the handles of [`sync`]: of what a handle
//! stands for there is one, wherever the handle goes. There are locks, semaphores, conditions,
//! events and barriers, as in [`std::sync`], and plain data: a [`Mutex`](sync::Mutex) around
//! numbers, arrays and structs of them, and a [`SharedSlice`](sync::SharedSlice) that all read and
//! write at once. The [module](sync) says which to take. No process waits for ever because another
//! was killed: that of a lock's holder reaches the next one as an error that has the guard in it.
//!
//! ```
//! use millpond::sync::Mutex;
//! use millpond::Pool;
//!
//! fn count((total, text): (Mutex<u64>, String)) {
//!     let words = text.split_whitespace().count();
//!     *total.lock().unwrap() += words as u64;
//! }
//!
//! fn main() -> Result<(), millpond::Error> {
//!     millpond::init();
//!     let total = Mutex::new(0)?;
//!     let pool = Pool::new(2)?;
//!     let lines = ["so many words", "", "and more"].map(str::to_owned);
//!     pool.map(count, lines.map(|line| (total.clone(), line)))?;
//!     millpond::spawn(count, (total.clone(), "the last".to_owned()))?.join()?;
//!     assert_eq!(*total.lock()?, 7);
//!     Ok(())
//! }
//! ```
//!
//! # Limits
//!
//! Linux only (kernel 5.10 or newer, with `/proc`). What runs before `init()` runs in every child.
//! A program that is run through an explicit loader (`ld.so program`) cannot start itself anew.
//!
//! A closure that captures values without content (zero-sized ones) passes for one that captures
//! nothing, and is made anew in the child. A type whose mere existence vouches for something in
//! *this* process, such as "the library is initialised", must not be captured.

#[cfg(not(target_os = "linux"))]
compile_error!("millpond runs on Linux alone: it is made of memfds, futexes and pidfds");

mod bytes;
mod channel;
mod codec;
mod deadlock;
mod error;
mod function;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod image;
mod init;
mod message;
mod panic;
mod pool;
mod process;
mod queue;
mod role;
pub mod sync;
mod wire_handle;

pub use bytemuck;
pub use millpond_core::cpu::cpu_count;
pub use millpond_core::os::exit_status::ExitStatus;
pub use millpond_core::pool::size::{Bounds, SizeInfo};
pub use millpond_core::pool::stats::Stats;
pub use millpond_core::trace::{self, Timeline};
pub use millpond_macros::{main, test};

pub use bytes::Bytes;
pub use channel::{
    AsyncReceiver, Connection, IntoIter, Receiver, Sender, bounded_channel, channel, pipe,
};
pub use deadlock::set_deadlock_errors;
pub use error::{
    Error, ErrorKind, Failure, JoinError, RecvError, RecvTimeoutError, Result, TaskError,
    TryRecvError,
};
pub use function::Function;
pub use init::init;
#[doc(hidden)]
pub use init::init_early as __init_early;
pub use message::Message;
pub use pool::{Initialized, Job, MapIter, MapUnordered, Pool, PoolBuilder, With, par};
pub use process::{
    Builder, Child, CurrentProcess, JoinHandle, ParentProcess, active_children, current_process,
    parent_process, spawn,
};
pub use queue::{Iter, Queue, SendError, SendManyError, TryIter};

/// The programs of the README and of the book, to be compiled and run.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/rust/quick-start.md")]
    struct QuickStart;
    #[doc = include_str!("../../../docs/rust/functions.md")]
    struct Functions;
    #[doc = include_str!("../../../docs/rust/crashes.md")]
    struct Crashes;
    #[doc = include_str!("../../../docs/rust/channels.md")]
    struct Channels;
    #[doc = include_str!("../../../docs/rust/shared-memory.md")]
    struct SharedMemory;
    #[doc = include_str!("../../../docs/rust/async.md")]
    struct Async;
    #[doc = include_str!("../../../docs/rust/tests-and-libraries.md")]
    struct TestsAndLibraries;
}
