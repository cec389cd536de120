//! What a panic says, caught where it happens and told where it matters.

mod stack;

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, UnwindSafe};
use std::sync::{Once, OnceLock};
use std::{fmt, mem};

use serde::{Deserialize, Serialize};

/// A panic, told: its message, its place and its stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PanicReport {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

/// The last panic of a thread; its stack is looked up only if it is asked for.
struct Seen {
    message: String,
    location: Option<String>,
    backtrace: Backtrace,
}

thread_local! {
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// The function that is called with the report of a panic in a program that aborts at the first
/// one.
type LastWords = Box<dyn Fn(&PanicReport) + Send + Sync>;
static LAST_WORDS: OnceLock<LastWords> = OnceLock::new();

/// Notes every panic from now on, then leaves it to the hook that was there before.
///
/// In a program that is built with `panic = "abort"`, [`catch`] never gets to see a panic, so
/// `last_words` is told of it at once, in whichever thread it happens.
pub(crate) fn install_hook(last_words: impl Fn(&PanicReport) + Send + Sync + 'static) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let _ = LAST_WORDS.set(Box::new(last_words));
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            before(info);
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    let seen = Seen {
        message: text(info.payload()),
        location: info.location().map(ToString::to_string),
        // As in any program: only if `RUST_BACKTRACE` asks for it, since it takes long.
        backtrace: Backtrace::capture(),
    };
    if cfg!(panic = "abort") {
        if let Some(tell) = LAST_WORDS.get() {
            tell(&seen.into_report());
        }
    } else {
        LAST.with_borrow_mut(|last| *last = Some(seen));
    }
}

/// Calls `function`; a panic becomes a report.
pub(crate) fn catch<T>(function: impl FnOnce() -> T + UnwindSafe) -> Result<T, PanicReport> {
    LAST.take();
    panic::catch_unwind(function).map_err(|payload| {
        let message = text(&*payload);
        // A payload may panic when it is dropped, and that one's payload again.
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(payload);
        }
        // `resume_unwind` runs no hook, so the last panic that was noted may be another one.
        match LAST.take().filter(|seen| seen.message == message) {
            Some(seen) => seen.into_report(),
            None => PanicReport { message, location: None, backtrace: None },
        }
    })
}

impl Seen {
    fn into_report(self) -> PanicReport {
        let captured = self.backtrace.status() == BacktraceStatus::Captured;
        let backtrace = captured.then(|| stack::trimmed(&self.backtrace.to_string()));
        PanicReport { message: self.message, location: self.location, backtrace }
    }
}

impl PanicReport {
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    pub(crate) fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicked")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_message_place_and_stack() {
        install_hook(|_| {});
        let report = catch(|| panic!("no {}", "way")).unwrap_err();
        assert_eq!(report.message(), "no way");
        assert!(report.location().unwrap().starts_with(file!()), "{report:?}");
        let stack = report.backtrace().map(|s| s.contains("tells_message_place_and_stack"));
        let is_wanted = Backtrace::capture().status() == BacktraceStatus::Captured;
        assert_eq!(stack, is_wanted.then_some(true));
        assert!(report.to_string().starts_with("panicked at "));
    }

    #[test]
    fn does_not_take_one_panic_for_another() {
        install_hook(|_| {});
        let report = catch(|| {
            let _ = panic::catch_unwind(|| panic!("caught"));
            panic::resume_unwind(Box::new("thrown"))
        });
        let report = report.map(|never: ()| never).unwrap_err();
        assert_eq!(report.message(), "thrown");
        assert_eq!(report.location(), None);
    }

    #[test]
    fn survives_a_payload_that_panics() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic::panic_any(Bomb)
            }
        }
        install_hook(|_| {});
        let report = catch(|| panic::panic_any(Bomb)).map(|never: ()| never).unwrap_err();
        assert_eq!(report.message(), "a value that is no text");
    }
}
