//! Whether anything but the calling thread can act in this process.

use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Signals of a thread's own faults. A thread that waits makes none, and their handlers (the Rust
/// library's that reports stack overflows, Python's `faulthandler`) end the process.
const FAULTS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Whether the calling thread is the only one of its process, and nobody traces it. False where
/// procfs does not tell.
#[must_use]
pub fn is_alone() -> bool {
    is_only_thread() == Some(true) && is_traced() == Some(false)
}

fn is_only_thread() -> Option<bool> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut tasks = fs::read_dir("/proc/self/task").ok()?;
    let first = tasks.next()?.ok()?.file_name();
    // Were it another's number, this would be the procfs of another namespace, or none.
    Some(first.as_bytes() == own.as_bytes() && tasks.next().is_none())
}

fn is_traced() -> Option<bool> {
    let status = fs::read("/proc/self/status").ok()?;
    let mut lines = status.split(|&byte| byte == b'\n');
    let tracer = lines.find_map(|line| line.strip_prefix(b"TracerPid:"))?;
    Some(tracer.trim_ascii() != b"0")
}

/// Whether a signal would run a handler, other than those of faults and of `except`.
#[must_use]
pub fn has_signal_handlers(except: &[i32]) -> bool {
    (1..=libc::SIGRTMAX())
        .filter(|signal| !FAULTS.contains(signal) && !except.contains(signal))
        .any(has_handler)
}

fn has_handler(signal: i32) -> bool {
    // SAFETY: zero is a valid `sigaction`; the call only fills it in, and refuses the numbers of
    // signals that the C library keeps for itself.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction != libc::SIG_IGN
            && action.sa_sigaction != libc::SIG_DFL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::testing::Child;

    extern "C" fn handler(_signal: i32) {}

    #[test]
    fn a_second_thread_is_seen() {
        Child::check(|| {
            assert!(is_alone());
            std::thread::scope(|scope| {
                let (stop, stopped) = std::sync::mpsc::channel::<()>();
                scope.spawn(move || stopped.recv());
                assert!(!is_alone());
                drop(stop);
            });
        });
    }

    #[test]
    fn handlers_are_seen() {
        Child::check(|| {
            assert!(!has_signal_handlers(&[]));
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGUSR1, handler as *const () as usize) };
            assert!(has_signal_handlers(&[]) && !has_signal_handlers(&[libc::SIGUSR1]));
            // SAFETY: as above.
            unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
            assert!(!has_signal_handlers(&[]));
        });
    }
}
