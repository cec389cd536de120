//! What a program is told that has not called `init`.

#[path = "support/watchdog.rs"]
mod watchdog;

use millpond::sync::{Event, Mutex};
use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

#[test]
fn nothing_is_started_without_init() {
    let _watchdog = Watchdog::start();
    for error in [millpond::spawn(|| (), ()).unwrap_err(), Pool::new(2).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotInitialized);
        assert!(error.to_string().contains("call `millpond::init()` first in `main`"), "{error}");
        assert!(error.to_string().contains("init_before_main!"), "{error}");
    }
    assert!(millpond::active_children().is_empty());

    // Threads share what processes would, and what was to be passed on is as it was.
    let (number, event) = (Mutex::new(1_u64).unwrap(), Event::new().unwrap());
    let refused = millpond::spawn(|number: Mutex<u64>| drop(number.lock()), number.clone());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotInitialized);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *number.lock().unwrap() += 1;
            event.set();
        });
        event.wait();
    });
    assert_eq!(*number.lock().unwrap(), 2);

    // From now on this is an initialised program, whose children would come here again: the
    // harness runs `main` there, and nothing has told the child not to. So none is started.
    millpond::init();
    millpond::init();
    assert_eq!(millpond::current_process().name(), "MainProcess");
}
