//! Crash points: named places at which a test has a process die, or stand still.
//!
//! With the feature `crash-points`, a process whose environment has `MILLPOND_CRASH_AT` kills
//! itself when it reaches the point of that name, provided that it is the one that removes the
//! file `MILLPOND_CRASH_ONCE`; so one process dies, once. A thread can also be [told](arm) to, or be
//! told to [stop](arm_to_stop) there. Without the feature a crash point is nothing at all.

/// Names a step of a protocol at which a process can be told to die.
#[cfg(not(feature = "crash-points"))]
macro_rules! crash_point {
    ($name:literal) => {};
}

/// Names a step of a protocol at which a process can be told to die.
#[cfg(feature = "crash-points")]
macro_rules! crash_point {
    ($name:literal) => {
        $crate::crash::reach($name)
    };
}

pub(crate) use crash_point;

#[cfg(feature = "crash-points")]
use rustix::process::Signal;

#[cfg(feature = "crash-points")]
thread_local! {
    /// What befalls the process at which point.
    static TOLD: std::cell::Cell<Option<(&'static str, Signal)>> = const { std::cell::Cell::new(None) };
}

/// Has the calling thread kill its process when it reaches the point of this name.
#[cfg(feature = "crash-points")]
pub fn arm(name: &'static str) {
    TOLD.set(Some((name, Signal::KILL)));
}

/// Has the calling thread stop its process, once, when it reaches the point of this name; it goes
/// on when it is sent SIGCONT.
#[cfg(feature = "crash-points")]
pub fn arm_to_stop(name: &'static str) {
    TOLD.set(Some((name, Signal::STOP)));
}

#[cfg(feature = "crash-points")]
pub(crate) fn reach(name: &str) {
    use std::sync::OnceLock;
    if let Some((told, signal)) = TOLD.get()
        && told == name
    {
        TOLD.set(None);
        send_self(signal);
    }
    static ARMED: OnceLock<Option<String>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var("MILLPOND_CRASH_AT").ok());
    if armed.as_deref() == Some(name)
        && std::env::var_os("MILLPOND_CRASH_ONCE").is_some_and(|f| std::fs::remove_file(f).is_ok())
    {
        send_self(Signal::KILL);
    }
}

#[cfg(feature = "crash-points")]
fn send_self(signal: Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}
