//! What a program is told that has not called `init`.

#[path = "support/watchdog.rs"]
mod watchdog;

use millpond::{ErrorKind, Pool, Process};
use watchdog::Watchdog;

#[test]
fn nothing_is_started_without_init() {
    let _watchdog = Watchdog::start();
    for error in [Process::new(|| ()).start().unwrap_err(), Pool::new(2).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotInitialized);
        assert!(error.to_string().contains("call `millpond::init()` first in `main`"), "{error}");
        assert!(error.to_string().contains("init_in_tests!"), "{error}");
    }
    assert!(millpond::active_children().is_empty());

    // From now on this is an initialised program, whose children would come here again: the
    // harness runs `main` there, and nothing has told the child not to. So none is started.
    millpond::init();
    millpond::init();
    assert_eq!(millpond::current_process().name(), "MainProcess");
}
