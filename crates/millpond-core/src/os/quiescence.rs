//! Whether anything but the calling thread can act in this process.

use std::fs;

/// Signals of a thread's own faults. A thread that waits makes none, and their handlers (the Rust
/// library's that reports stack overflows, Python's `faulthandler`) end the process.
const FAULTS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Whether the calling thread is the only one of its process but for the engine's `helper`, and nobody
/// traces it. False where procfs does not tell.
#[must_use]
pub(crate) fn is_alone() -> bool {
    is_only_thread() == Some(true) && is_traced() == Some(false)
}

fn is_only_thread() -> Option<bool> {
    let mut is_here = false;
    for task in fs::read_dir("/proc/self/task").ok()? {
        let number = task.ok()?.file_name().to_str()?.parse().ok()?;
        if number == rustix::thread::gettid().as_raw_nonzero().get() {
            is_here = true;
        } else if !helper::is(number) {
            return Some(false);
        }
    }
    // Without the own number, this is the procfs of another namespace.
    Some(is_here)
}

/// The one thread of the engine that does nothing but wake waiting threads, and so does not count.
pub(crate) mod helper {
    use std::sync::atomic::{AtomicI32, Ordering};

    /// Its number, 0 while there is none.
    static NUMBER: AtomicI32 = AtomicI32::new(0);
    /// The same, and that of the last one while there is none: its end may not be over.
    static LAST: AtomicI32 = AtomicI32::new(0);
    /// How often to look whether one is gone that has nothing left to do.
    const LOOKS: u32 = 100_000;

    // Relaxed, here and below: the numbers stand for themselves.
    pub(super) fn is(number: i32) -> bool {
        NUMBER.load(Ordering::Relaxed) == number
    }

    /// Forgets the one before.
    pub(crate) fn is_about_to_start() {
        NUMBER.store(0, Ordering::Relaxed);
        LAST.store(0, Ordering::Relaxed);
    }

    /// The calling thread is it.
    pub(crate) fn begins() {
        let number = rustix::thread::gettid().as_raw_nonzero().get();
        NUMBER.store(number, Ordering::Relaxed);
        LAST.store(number, Ordering::Relaxed);
    }

    /// The calling thread is it no longer, and ends.
    pub(crate) fn ends() {
        let number = rustix::thread::gettid().as_raw_nonzero().get();
        // Another one may have begun.
        let _ = NUMBER.compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Waits until a thread that was started says that it is it.
    pub(crate) fn wait_until_begun() {
        while LAST.load(Ordering::Relaxed) == 0 {
            rustix::thread::sched_yield();
        }
    }

    /// Waits until the last one, which has been told to end, is no thread of this process any more. Its
    /// number may be another thread's by then, so that there is a limit.
    pub(crate) fn wait_until_gone() {
        let last = LAST.swap(0, Ordering::Relaxed);
        let process = std::process::id().cast_signed();
        for _ in 0..LOOKS {
            // SAFETY: no signal is sent, only asked whether one could be.
            let is_there =
                last != 0 && unsafe { libc::syscall(libc::SYS_tgkill, process, last, 0) } == 0;
            if !is_there {
                return;
            }
            rustix::thread::sched_yield();
        }
    }
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
