//! A program that forks, as C libraries and old programs do, with processes alive.

#[path = "support/fork.rs"]
mod fork;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use fork::in_a_fork;
use millpond::{ErrorKind, Process, active_children, current_process};
use watchdog::Watchdog;

millpond::init_in_tests!();

fn forever() {
    loop {
        thread::park();
    }
}

#[test]
fn a_fork_has_no_children_but_may_start_some() {
    let _watchdog = Watchdog::start();
    let process = Process::new(forever).daemon(true).start().unwrap();
    let main = std::process::id();
    assert!(in_a_fork(|| {
        let error = process.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForkedChild);
        assert!(error.to_string().contains(&format!("started by process {main}")), "{error}");
        let error = process.join_timeout(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForkedChild);
        assert!(process.is_alive());
        assert_eq!(process.exit_status(), None);
        assert!(active_children().is_empty());
        assert_ne!(current_process().pid(), main);
        for daemon in [true, false] {
            let own = Process::new(|n: u64| n + 1).arg(1).daemon(daemon).start().unwrap();
            assert_eq!(own.join().unwrap(), 2);
        }
        drop(process);
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
                        let process = Process::new(|n: u64| n).arg(number).daemon(number % 2 == 0);
                        assert_eq!(process.start().unwrap().join().unwrap(), number);
                    }
                })
            })
            .collect();
        while !starters.iter().all(|starter| starter.is_finished()) {
            assert!(in_a_fork(|| {
                let process = Process::new(|n: u64| n).arg(7).start().unwrap();
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
        let process = Process::new(forks).start().unwrap();
        assert_eq!(process.join().unwrap(), process.pid());
    }
}
