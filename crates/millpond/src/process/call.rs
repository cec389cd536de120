//! The child's side of a call: read it, make it, answer it.

use std::borrow::Cow;
use std::os::fd::RawFd;
use std::panic::AssertUnwindSafe;
use std::{io, process};

use millpond_core::os::fork::{self, Owner};
use millpond_core::os::pidfd::PidFd;

use super::identity::{Identity, Parent};
use super::result_slot::{Attempt, Call, Failure, Reply, ResultSlot};
use crate::panic;
use crate::role::{NOT_RUN, adopt, leave_stdin};

/// The exit code after a panic, as that of a `main` that panics.
const PANICKED: i32 = 101;
/// The exit code when the function could not be called, or its result not sent.
const FAILED: i32 = 1;

/// Does what this process was started for, and ends it.
pub(crate) fn run(result_slot: RawFd, parent: RawFd) -> ! {
    let code = open(result_slot, parent).map_or_else(
        |error| {
            eprintln!("millpond: this child cannot read what it is to do: {error}");
            NOT_RUN
        },
        |(result_slot, parent)| answer(result_slot, parent),
    );
    process::exit(code)
}

fn open(result_slot: RawFd, parent: RawFd) -> io::Result<(&'static ResultSlot, PidFd)> {
    let result_slot = ResultSlot::open(adopt(result_slot)?)?;
    // It serves for as long as the process lives, also the hook for panics.
    let result_slot: &'static ResultSlot = Box::leak(Box::new(result_slot));
    Ok((result_slot, PidFd::from(adopt(parent)?)))
}

/// Makes the call and answers it; gives the code to exit with.
fn answer(result_slot: &'static ResultSlot, parent: PidFd) -> i32 {
    let owner = Owner::current();
    panic::install_hook(move |report| {
        if owner.is_current() {
            let _ = result_slot.answer(Reply::Panicked(report.clone()));
        }
    });
    let (reply, code) = match make(result_slot, parent) {
        Ok(Ok(result)) => (Reply::Returned(result), 0),
        Ok(Err(failure)) => (Reply::Failed(failure), FAILED),
        Err(report) => (Reply::Panicked(report), PANICKED),
    };
    if !owner.is_current() {
        // The function has forked, and this is the fork: the call is not its to answer.
        return code;
    }
    let Err(error) = result_slot.answer(reply) else {
        return code;
    };
    let failure = Failure::Io { what: Attempt::Answer, message: error.to_string() };
    if let Err(second) = result_slot.answer(Reply::Failed(failure)) {
        eprintln!("millpond: a result is lost: {error}, then {second}");
    }
    FAILED
}

/// The encoded result, or what came in its place.
fn make(
    result_slot: &ResultSlot,
    parent: PidFd,
) -> Result<Result<Vec<u8>, Failure>, panic::PanicReport> {
    let (call, arguments) = match result_slot.take_call() {
        Ok(call) => call,
        Err(error) => {
            let message = error.to_string();
            return Ok(Err(Failure::Io { what: Attempt::Prepare, message }));
        }
    };
    if call.daemon && orphaned(&call) {
        process::exit(NOT_RUN);
    }
    let Some(entry) = call.function.find(&call.build) else {
        return Ok(Err(Failure::BuildMismatch));
    };
    leave_stdin();
    Identity {
        name: call.name,
        lineage: call.lineage,
        daemon: call.daemon,
        parent: Parent { name: call.parent_name, pid: call.parent_pid, pidfd: parent },
    }
    .assume();
    panic::catch(AssertUnwindSafe(|| {
        let mut result = Vec::new();
        let arrived = || result_slot.arguments_arrived();
        entry(Cow::Owned(arguments), &arrived, &mut result).map_err(Failure::Codec)?;
        Ok(result)
    }))
}

/// Whether the parent had ended before the kernel was asked to say so. A parent outside of this
/// process' pid namespace has pid 0 here.
fn orphaned(call: &Call) -> bool {
    let parent = fork::parent_pid();
    parent != call.parent_pid && parent != 0
}
