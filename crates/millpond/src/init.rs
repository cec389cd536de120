//! The beginning of every program that uses this crate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, process};

use crate::error::{Cause, Error};
use crate::pool::zygote;
use crate::process::call;
use crate::role::{self, NOT_RUN, Role};

static CALLED: AtomicBool = AtomicBool::new(false);

/// Prepares the program for having children. Call it first in `main`.
///
/// A child is this same program, started anew. There, this function does what the child is for
/// and does not return; in the process that the user started, it returns at once. What stands
/// before it in `main` therefore runs in every child too. Calling it again does nothing.
///
/// Without it, starting a process fails with
/// [`ErrorKind::NotInitialized`](crate::ErrorKind::NotInitialized); nothing is started then.
///
/// [`#[millpond::main]`](macro@crate::main) is the same as an attribute. In tests, where the test
/// harness owns `main`, and in libraries, there is
/// [`init_before_main!`](crate::init_before_main).
///
/// ```
/// fn answer() -> u32 {
///     42
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     assert_eq!(millpond::spawn(answer, ())?.join()?, 42);
///     Ok(())
/// }
/// ```
pub fn init() {
    if CALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(value) = env::var_os(role::VARIABLE) else {
        return;
    };
    forget_role();
    match value.to_str().and_then(Role::parse) {
        Some(Role::Process { result_slot, parent }) => call::run(result_slot, parent),
        Some(Role::Zygote { socket, control_block, watcher, lifeline, bootstrap, owner }) => {
            zygote::run([socket, control_block, watcher, lifeline, bootstrap, owner])
        }
        // To go on as the main program could start children that do the same, without end.
        None => {
            eprintln!(
                "millpond: the environment variable {}={value:?} is for children that millpond \
                 starts; remove it from the environment",
                role::VARIABLE
            );
            process::exit(NOT_RUN);
        }
    }
}

/// Whether [`init`] has been called; an error that says how to, if not.
pub(crate) fn required() -> Result<(), Error> {
    if CALLED.load(Ordering::Relaxed) { Ok(()) } else { Err(Cause::NotInitialized.into()) }
}

/// Takes the role out of the environment, so that programs which the child starts do not see it.
///
/// With a second thread, which only something other than `main` can have started by now, that
/// cannot be done safely. Then it stays, and this program alone would mind.
fn forget_role() {
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
    if matches!(threads, Ok(1)) {
        // SAFETY: there is one thread, so none that reads the environment meanwhile.
        unsafe { env::remove_var(role::VARIABLE) };
    }
}

/// What [`init_before_main!`](crate::init_before_main) puts before `main`.
#[doc(hidden)]
pub fn init_early() {
    if env::var_os(role::VARIABLE).is_some() {
        // The start of Rust's runtime, which comes later, does so in all other programs.
        // SAFETY: to ignore a signal runs no code of this program.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
    init();
}

/// Does what [`init()`](crate::init) does, before `main`: for libraries and for tests.
///
/// - A library that uses this crate inside has it once, anywhere. Programs that use the library
///   need no call, and need not know.
/// - In tests the harness owns `main`. [`#[millpond::test]`](macro@crate::test) contains it;
///   otherwise put it at the top of a file in `tests/`, or into the library for its unit tests,
///   behind `#[cfg(test)]`.
///
/// Several in one program are harmless.
///
/// ```
/// millpond::init_before_main!();
///
/// fn answer() -> u32 {
///     42
/// }
///
/// fn main() {
///     assert_eq!(millpond::spawn(answer, ()).unwrap().join().unwrap(), 42);
/// }
/// ```
///
/// # What to know
///
/// Children run before `main`, as constructors of libraries do. So these parts are not there, and a
/// program that can call [`init()`](crate::init) should:
///
/// - of Rust's runtime, the message that a stack overflow is one (it is a plain `SIGSEGV`), and the
///   name of the main thread in the message of a panic;
/// - constructors that the linker has put behind this one, for instance those of static objects of
///   C++ that are linked in.
///
/// What a child of a test prints goes to the standard output of the test program, not into the
/// captured output of the test.
///
/// # Why it is sound
///
/// On Linux the C library calls the functions in `.init_array` one after the other on the main
/// thread, after relocation and after its own start, with the arguments of `main`; the entry that
/// keeps those for [`std::env::args`] has a priority, so it comes before this one, which has none.
/// The function has the type that the section asks for, is safe to call, and cannot unwind, as it
/// is `extern "C"`. The standard library is documented to be usable before `main` by best effort
/// and without undefined behaviour; the tests of this crate run that way.
#[doc(alias = "init_in_tests")]
#[macro_export]
macro_rules! init_before_main {
    () => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::__init_early();
            }

            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
