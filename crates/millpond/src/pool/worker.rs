//! What a worker does with its life.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::process;

use millpond_core::channel::attachments::Attachments;
use millpond_core::os::fork;
use millpond_core::pool::payload::Parts;
use millpond_core::pool::worker::{Assignment, Next, Worker};

use super::bootstrap::Bootstrap;
use super::frame::{self, Frames};
use super::reply::{FAILED, Failure, RETURNED, What};
use crate::codec;
use crate::function::{EntryPoint, FunctionId};
use crate::panic;
use crate::role::NOT_RUN;
use crate::wire_handle;

/// A buffer for results that has grown beyond this is not kept.
const WORTH_KEEPING: usize = 1 << 20;

/// The exit code of a Rust program whose main thread panicked.
const PANICKED: i32 = 101;

/// How a task's function is applied to its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    /// To the payload.
    Call = 0,
    /// To each frame of it.
    Chunk = 1,
}

/// Works until there is nothing more to do, and ends the process.
pub(super) fn run(mut worker: Worker, bootstrap: &Bootstrap) -> ! {
    let initialized = initialize(bootstrap);
    end_if_forked(&worker, &initialized);
    if let Err(what) = initialized {
        let account = encoded(what);
        // Without room for the account the pool only learns that its workers end.
        let _ = worker.unfit(FAILED, Parts(&[&account]));
        process::exit(NOT_RUN);
    }
    wire_handle::note_arrivals(worker.arrivals());
    let mut result = Vec::new();
    let mut next = worker.ready().and_then(|()| worker.next_task());
    loop {
        match next {
            Ok(Next::Task(task)) => {
                let (status, attachments) =
                    wire_handle::collecting(|| perform(&worker, &task, bootstrap, &mut result));
                // Its arguments may lie in memory that the pool wants back.
                drop(task);
                finish(&mut worker, status, &result, &attachments);
                result.clear();
                if result.capacity() > WORTH_KEEPING {
                    result = Vec::new();
                }
            }
            Ok(Next::Interrupted) => {}
            Ok(Next::Leave) => process::exit(0),
            Err(error) => {
                eprintln!("millpond: this worker cannot go on: {error}");
                process::exit(NOT_RUN);
            }
        }
        next = worker.next_task();
    }
}

fn initialize(bootstrap: &Bootstrap) -> Result<(), What> {
    let Some(initializer) = bootstrap.initializer else {
        return Ok(());
    };
    let entry = initializer.find(&bootstrap.build).ok_or(What::BuildMismatch)?;
    let mut out = Vec::new();
    call(entry, Cow::Borrowed(&bootstrap.initializer_arguments), &mut out)?;
    let result: Result<(), String> = codec::decode(Cow::Owned(out)).map_err(What::Codec)?;
    result.map_err(What::Refused)
}

/// Does a task; its status and, in `result`, what is to be sent.
fn perform(worker: &Worker, task: &Assignment, bootstrap: &Bootstrap, result: &mut Vec<u8>) -> u8 {
    let Some(function) = worker.function(task.function) else {
        return fail(What::Arguments("there was no memory for its function".to_owned()), result);
    };
    let id = FunctionId::from_bytes(function);
    let Some(entry) = id.and_then(|id| id.find(&bootstrap.build)) else {
        return fail(What::BuildMismatch, result);
    };
    let arguments = match &task.payload {
        Ok(payload) => payload.part(0),
        Err(error) => return fail(What::Arguments(error.to_string()), result),
    };
    if task.op == Op::Call as u8 {
        let called = call(entry, Cow::Borrowed(arguments), result);
        end_if_forked(worker, &called);
        return match called {
            Ok(()) => RETURNED,
            Err(what) => fail(what, result),
        };
    }
    for (item, (_, argument)) in (0..task.items).zip(Frames(arguments)) {
        worker.at_items(item, 1);
        let start = frame::begin(result);
        let called = call(entry, Cow::Borrowed(argument), result);
        end_if_forked(worker, &called);
        let failed = called.is_err();
        if let Err(what) = called {
            result.extend_from_slice(&encoded(what));
        }
        frame::end(result, start, failed);
    }
    RETURNED
}

/// Calls a function; adds its result, or nothing, to `out`.
fn call(entry: EntryPoint, arguments: Cow<'_, [u8]>, out: &mut Vec<u8>) -> Result<(), What> {
    let before = out.len();
    match panic::catch(AssertUnwindSafe(|| entry(arguments, &|| {}, out))) {
        Ok(encoded) => encoded.map_err(What::Codec),
        Err(report) => {
            // It may be the encoding of the result that panicked.
            out.truncate(before);
            Err(What::Panicked(report))
        }
    }
}

/// Ends this process if the function has forked and this is the child: neither the task nor the items
/// that are left are the child's to do. It ends as a program does whose `main` has returned, or
/// panicked, which the panic hook has told by then.
fn end_if_forked(worker: &Worker, called: &Result<(), What>) {
    if worker.is_foreign() {
        process::exit(if matches!(called, Err(What::Panicked(_))) { PANICKED } else { 0 });
    }
}

fn fail(what: What, result: &mut Vec<u8>) -> u8 {
    *result = encoded(what);
    FAILED
}

fn encoded(what: What) -> Vec<u8> {
    let mut bytes = Vec::new();
    Failure { pid: fork::pid(), what }.append_to(&mut bytes);
    bytes
}

fn finish(worker: &mut Worker, status: u8, result: &Vec<u8>, attachments: &Attachments) {
    let Err(error) = worker.finish_with(status, Parts(&[result]), attachments) else {
        return;
    };
    let failure = encoded(What::Io(error.to_string()));
    if let Err(second) = worker.finish(FAILED, Parts(&[&failure])) {
        // Ending is what the pool notices.
        eprintln!("millpond: a result is lost: {error}, then {second}");
        process::exit(NOT_RUN);
    }
}
