//! What comes back from a worker, and what it means to the caller.

use std::borrow::Cow;
use std::io;

use millpond_core::pool::payload::Payload;
use millpond_core::pool::task::{Breakage, Crash, CrashCause, FORMAT, Outcome, Reason, Wanted};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::Frames;
use super::last_words::LastWords;
use crate::codec::{self, CodecError};
use crate::error::{Cause, Error, Loss, Result, Subject};
use crate::panic::PanicReport;
use crate::wire_handle;

/// The status of a task that has a result: an encoded value, or a chunk of frames.
pub(super) const RETURNED: u8 = 0;
/// The status of a task that has none: an encoded [`Failure`].
pub(super) const FAILED: u8 = 1;

/// Why a worker has no result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) pid: u32,
    pub(super) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    Panicked(PanicReport),
    Codec(CodecError),
    /// The task's function or arguments cannot be had; the system's message.
    Arguments(String),
    /// The result finds no room; the system's message.
    Io(String),
    BuildMismatch,
    /// The initializer returned this error.
    Refused(String),
}

impl Failure {
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let bytes = postcard::to_extend(self, std::mem::take(out));
        // Text and numbers always encode; an empty failure is reported as a damaged one.
        *out = bytes.unwrap_or_default();
    }

    fn read(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).unwrap_or_else(|error| Self {
            pid: 0,
            what: What::Io(format!("its report is damaged: {error}")),
        })
    }

    fn into_cause(self) -> Cause {
        match self.what {
            What::Panicked(report) => Cause::Panicked(report),
            What::Codec(error) => Cause::Codec(error),
            What::Arguments(message) => Cause::RemoteIo { what: "take its arguments", message },
            What::Io(message) => Cause::RemoteIo { what: "send its result", message },
            What::BuildMismatch => Cause::BuildMismatch,
            What::Refused(message) => Cause::Broken { message, report: None },
        }
    }
}

/// What broke a pool.
pub(super) fn broken(breakage: &Breakage) -> Cause {
    let (message, report) = match breakage {
        Breakage::Unfit { payload, .. } => match Failure::read(payload.part(0)).what {
            What::Panicked(report) => (format!("its initializer {report}"), Some(report)),
            What::Refused(message) => (format!("its initializer failed: {message}"), None),
            What::BuildMismatch => ("its workers run another build of this program".into(), None),
            What::Codec(error) => (error.to_string(), None),
            What::Arguments(message) | What::Io(message) => (message, None),
        },
        Breakage::WorkersDie(status) => {
            let message = format!("its workers end before they are ready, the last one {status}");
            (message, None)
        }
        // Of pools that are to be fragile, which this binding's never are.
        Breakage::WorkerDied { pid, status } => (format!("worker {pid} {status}"), None),
        Breakage::CannotStart(error) => (format!("no worker can be started: {error}"), None),
    };
    Cause::Broken { message, report }
}

/// The calls that were sent to a worker together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls<'a> {
    pub(super) last_words: &'a LastWords,
    pub(super) function: &'static str,
    /// The first one's place among all of its job.
    pub(super) first: u64,
    pub(super) count: u32,
    /// Whether they were sent as a chunk, even if of one.
    pub(super) framed: bool,
    /// Whether there is no other call in the job.
    pub(super) single: bool,
}

impl Calls<'_> {
    /// Gives the result of each to `take`, in order.
    pub(super) fn results<R>(&self, outcome: &Outcome, mut take: impl FnMut(Result<R>))
    where
        R: DeserializeOwned + 'static,
    {
        match outcome {
            Outcome::Finished { status, payload } if has_returned(*status) && self.framed => {
                let mut frames = Frames(payload.part(0));
                for at in 0..self.count {
                    take(match frames.next() {
                        Some((false, bytes)) => self.decode(at, payload, bytes),
                        Some((true, bytes)) => Err(self.failure(at, bytes)),
                        None => Err(self.failure(at, &[])),
                    });
                }
            }
            Outcome::Finished { status, payload } if has_returned(*status) => {
                take(self.decode(0, payload, payload.part(0)));
            }
            Outcome::Finished { payload, .. } => {
                (0..self.count).for_each(|at| take(Err(self.failure(at, payload.part(0)))));
            }
            Outcome::Crashed(crash) => {
                (0..self.count).for_each(|at| take(Err(self.crash(at, crash))));
            }
            Outcome::Cancelled(reason) => {
                (0..self.count).for_each(|at| take(Err(self.cancelled(at, reason))));
            }
            Outcome::NoMemory { wanted, error } => {
                (0..self.count).for_each(|at| take(Err(self.no_memory(at, *wanted, error))));
            }
        }
    }

    fn decode<R>(&self, at: u32, payload: &Payload, bytes: &[u8]) -> Result<R>
    where
        R: DeserializeOwned + 'static,
    {
        let decode = || codec::decode(Cow::Borrowed(bytes));
        // The outcome keeps its handles until it is settled, however often it is decoded.
        let decoded =
            if payload.has_attachments() { wire_handle::copying(decode) } else { decode() };
        decoded.map_err(|error| self.error(at, None, Cause::Codec(error)))
    }

    fn failure(&self, at: u32, bytes: &[u8]) -> Error {
        let failure = Failure::read(bytes);
        let pid = Some(failure.pid).filter(|&pid| pid != 0);
        self.error(at, pid, failure.into_cause())
    }

    fn crash(&self, at: u32, crash: &Crash) -> Error {
        let status = crash.status;
        let lost = |loss| Cause::Lost { status, loss };
        let cause = match crash.cause {
            CrashCause::ZygoteDied => lost(Loss::WithZygote),
            CrashCause::Corrupt => lost(Loss::Corrupt),
            CrashCause::TimedOut => Cause::Overran(crash.timeout.unwrap_or_default()),
            CrashCause::Cancelled => Cause::Cancelled,
            CrashCause::Died if at == crash.item => {
                let is_abort = status.signal() == Some(libc::SIGABRT);
                let report = is_abort.then(|| self.last_words.of(crash.pid)).flatten();
                report.map_or(Cause::Crashed(status), Cause::Panicked)
            }
            CrashCause::Died => lost(Loss::WithTask(self.first + u64::from(crash.item))),
        };
        self.error(at, Some(crash.pid), cause)
    }

    fn cancelled(&self, at: u32, reason: &Reason) -> Error {
        let cause = match reason {
            Reason::Broken(breakage) => broken(breakage),
            Reason::Cancelled => Cause::Cancelled,
            Reason::Terminated | Reason::JobFailed => Cause::Terminated,
        };
        self.error(at, None, cause)
    }

    fn no_memory(&self, at: u32, wanted: Wanted, error: &io::Error) -> Error {
        let what = match wanted {
            Wanted::Function => "send its function to a worker",
            Wanted::Result => "take in its result",
        };
        // Shared by all calls of the chunk, so it is told by its kind and message.
        let source = io::Error::new(error.kind(), error.to_string());
        self.error(at, None, Cause::Io { what, source })
    }

    fn error(&self, at: u32, pid: Option<u32>, cause: Cause) -> Error {
        let index = (!self.single).then_some(self.first + u64::from(at));
        Error::from(cause).about(Subject::Task { index, pid, function: self.function })
    }
}

/// Whether the task did not fail as a whole, in whatever format its result is.
fn has_returned(status: u8) -> bool {
    status & !FORMAT == RETURNED
}
