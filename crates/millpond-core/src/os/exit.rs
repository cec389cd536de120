//! The last thing that a process does when it ends by itself.

/// What a process does when it ends.
pub(crate) trait LastAct {
    /// Does it.
    fn act();
}

/// Has the last act done when this process, or a child that it forks, ends by `exit` with a status
/// that says success: `main` has returned, or the program has called `exit`. It comes after what
/// was registered later; and not at all after `_exit`, `abort` or a signal.
///
/// A C library without `on_exit` does not tell the status: then any says success.
#[cfg(target_env = "gnu")]
pub(crate) fn after_success<A: LastAct>() {
    use std::ffi::{c_int, c_void};

    /// The bits of a status that a parent sees.
    const SEEN: c_int = 0xff;

    unsafe extern "C" {
        fn on_exit(
            handler: extern "C" fn(status: c_int, argument: *mut c_void),
            argument: *mut c_void,
        ) -> c_int;
    }

    extern "C" fn handler<A: LastAct>(status: c_int, _: *mut c_void) {
        if status & SEEN == 0 {
            A::act();
        }
    }

    // SAFETY: the handler is a function of this program or library, which is not unloaded. It fails
    // for want of memory only; then ends count as failures.
    let _ = unsafe { on_exit(handler::<A>, std::ptr::null_mut()) };
}

/// The same.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn after_success<A: LastAct>() {
    extern "C" fn handler<A: LastAct>() {
        A::act();
    }

    // SAFETY: as above.
    let _ = unsafe { libc::atexit(handler::<A>) };
}
