//! A program that forks, as C libraries and old programs do, with processes alive.

#[path = "support/fork.rs"]
mod fork;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use fork::in_a_fork;
use millpond::{Builder, ErrorKind, active_children, current_process};
use watchdog::Watchdog;

millpond::init_before_main!();

fn forever() {
    loop {
        thread::park();
    }
}

#[test]
fn a_fork_has_no_children_but_may_start_some() {
    let _watchdog = Watchdog::start();
    let mut process = Builder::new().end_with_parent(true).spawn(forever, ()).unwrap();
    let main = std::process::id();
    assert!(in_a_fork(|| {
        let error = process.child().join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForkedChild);
        assert!(error.to_string().contains(&format!("started by process {main}")), "{error}");
        let error = process.join_timeout(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForkedChild);
        assert!(!process.is_finished());
        assert_eq!(process.exit_status(), None);
        assert!(active_children().is_empty());
        assert_ne!(current_process().pid(), main);
        for daemon in [true, false] {
            let own = Builder::new().end_with_parent(daemon).spawn(|n: u64| n + 1, 1).unwrap();
            assert_eq!(own.join().unwrap(), 2);
        }
        let error = process.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForkedChild);
        true
    }));
}

#[test]
fn a_fork_may_happen_while_threads_start_processes() {
    let _watchdog = Watchdog::start();
    thread::scope(|scope| {
        let starters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for number in 0..20 {
                        let builder = Builder::new().end_with_parent(number % 2 == 0);
                        let process = builder.spawn(|n: u64| n, number).unwrap();
                        assert_eq!(process.join().unwrap(), number);
                    }
                })
            })
            .collect();
        while !starters.iter().all(|starter| starter.is_finished()) {
            assert!(in_a_fork(|| {
                let process = millpond::spawn(|n: u64| n, 7).unwrap();
                active_children().len() <= 1 && process.join().unwrap() == 7
            }));
        }
    });
}

#[test]
fn a_fork_inside_of_a_process_does_not_answer_for_it() {
    fn forks() -> u32 {
        let me = std::process::id();
        // SAFETY: this process has one thread.
        if unsafe { libc::fork() } == 0 { 0 } else { me }
    }

    let _watchdog = Watchdog::start();
    for _ in 0..20 {
        let process = millpond::spawn(forks, ()).unwrap();
        let pid = process.pid();
        assert_eq!(process.join().unwrap(), pid);
    }
}
