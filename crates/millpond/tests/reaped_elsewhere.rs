//! A program in which somebody else takes the exit status of every child: it ignores `SIGCHLD`.
//! One test, since that is a matter of the whole program.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use millpond::{ErrorKind, ExitStatus, active_children};
use watchdog::Watchdog;

millpond::init_before_main!();

#[test]
fn results_come_without_a_status() {
    let _watchdog = Watchdog::start();
    // SAFETY: to ignore a signal runs no code of this program.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for _ in 0..20 {
        let mut returns = millpond::spawn(|n: u64| n + 1, 1).unwrap();
        let killed = millpond::spawn(thread::park, ()).unwrap();
        assert_eq!(returns.join_timeout(Duration::MAX).unwrap(), 2);
        assert_eq!(returns.exit_status(), Some(ExitStatus::Unknown));
        killed.kill().unwrap();
        let error = killed.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Crashed);
        assert_eq!(error.exit_status(), Some(ExitStatus::Unknown));
        assert!(error.to_string().contains("ended (with a status that is not known)"), "{error}");
        assert!(active_children().is_empty());
    }
}
