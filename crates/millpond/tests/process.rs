//! What a process gives back, and how it is looked after.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use millpond::{ErrorKind, ExitStatus, Process, active_children, current_process, parent_process};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_in_tests!();

fn wait_for_the_end() {
    thread::sleep(Duration::from_secs(3600));
}

#[test]
fn functions_of_any_shape_return() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: f64,
        label: Option<String>,
    }
    fn moved(point: Point, by: f64) -> Result<Point, String> {
        Ok(Point { x: point.x + by, ..point })
    }
    fn generic<T: Default>() -> T {
        T::default()
    }

    let _watchdog = Watchdog::start();
    let point = Point { x: 1.0, label: Some("a".into()) };
    let expected = Point { x: 3.5, label: Some("a".into()) };
    let process = Process::new(moved).args((point, 2.5)).start().unwrap();
    assert_eq!(process.join().unwrap(), Ok(expected));
    assert_eq!(Process::new(|| 7_u8).start().unwrap().join().unwrap(), 7);
    assert_eq!(Process::new(generic::<u64>).start().unwrap().join().unwrap(), 0);
    assert_eq!(Process::new(generic::<String>).start().unwrap().join().unwrap(), "");
    let six = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8| [a, b, c, d, e, f];
    let process = Process::new(six).args((1, 2, 3, 4, 5, 6)).start().unwrap();
    assert_eq!(process.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    Process::new(|(): ()| ()).arg(()).start().unwrap().join().unwrap();
}

#[test]
fn joining_again_and_from_several_threads_gives_the_same() {
    let _watchdog = Watchdog::start();
    let process = Process::new(|word: String| word + "!").arg("hey".to_owned()).start().unwrap();
    thread::scope(|scope| {
        let joiners: Vec<_> = (0..4).map(|_| scope.spawn(|| process.join().unwrap())).collect();
        for joiner in joiners {
            assert_eq!(joiner.join().unwrap(), "hey!");
        }
    });
    assert_eq!(process.join().unwrap(), "hey!");
    assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), "hey!");
    assert_eq!(process.exit_status(), Some(ExitStatus::Exited(0)));
}

#[test]
fn large_arguments_and_results_need_no_reader() {
    fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    let _watchdog = Watchdog::start();
    let bytes: Vec<u8> = (0..64 << 20).map(|at: u32| (at % 251) as u8).collect();
    let process = Process::new(reversed).arg(bytes.clone()).start().unwrap();
    // It ends although nobody has taken the result yet.
    while process.is_alive() {
        thread::sleep(Duration::from_millis(1));
    }
    let mut result = process.join().unwrap();
    result.reverse();
    assert!(result == bytes, "64 MiB came back changed");

    let numbers = Process::new(|count: u64| (0..count).collect::<Vec<u64>>());
    let numbers = numbers.arg(1_000_000).start().unwrap().join().unwrap();
    assert_eq!(numbers.iter().sum::<u64>(), 499_999_500_000);
}

#[test]
fn kill_and_terminate_end_it() {
    let _watchdog = Watchdog::start();
    let killed = Process::new(wait_for_the_end).start().unwrap();
    let terminated = Process::new(wait_for_the_end).start().unwrap();
    assert!(killed.is_alive() && terminated.is_alive());
    assert_eq!(killed.exit_status(), None);
    killed.kill().unwrap();
    terminated.terminate().unwrap();
    assert_eq!(killed.join().unwrap_err().signal_name(), Some("SIGKILL"));
    assert_eq!(terminated.join().unwrap_err().signal_name(), Some("SIGTERM"));
    assert!(!killed.is_alive() && !terminated.is_alive());
    // To the dead it means nothing.
    killed.kill().unwrap();
    terminated.terminate().unwrap();
}

#[test]
fn a_timeout_leaves_it_running() {
    let _watchdog = Watchdog::start();
    let process = Process::new(wait_for_the_end).name("slow").start().unwrap();
    let error = process.join_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().ends_with("did not end within 20ms"), "{error}");
    assert!(process.is_alive());
    process.kill().unwrap();
    let error = process.join_timeout(Duration::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
}

#[test]
fn everyone_knows_who_they_are() {
    fn who() -> (String, u32, bool, Option<(String, u32, bool)>) {
        let me = current_process();
        let parent = parent_process();
        let parent =
            parent.map(|parent| (parent.name().to_owned(), parent.pid(), parent.is_alive()));
        (me.name().to_owned(), me.pid(), me.daemon(), parent)
    }
    fn nested() -> (String, String) {
        let named = Process::new(who).name("inner").start().unwrap().join().unwrap();
        let (_, _, _, parent) = named;
        let unnamed = Process::new(who).start().unwrap();
        (parent.unwrap().0, unnamed.name().to_owned())
    }

    let _watchdog = Watchdog::start();
    let main = ("MainProcess".to_owned(), std::process::id(), true);
    assert_eq!(who(), (main.0.clone(), main.1, false, None));
    let daemon = Process::new(who).name("Child 1").daemon(true).start().unwrap();
    assert!(daemon.daemon());
    assert_eq!(daemon.name(), "Child 1");
    assert_eq!(daemon.join().unwrap(), ("Child 1".to_owned(), daemon.pid(), true, Some(main)));

    let (outer, unnamed) = Process::new(nested).name("outer").start().unwrap().join().unwrap();
    assert_eq!(outer, "outer");
    let numbers: Vec<&str> = unnamed.strip_prefix("Process-").unwrap().split(':').collect();
    assert_eq!((numbers.len(), numbers[1]), (2, "2"), "{unnamed}");
}

#[test]
fn a_child_has_arguments_and_environment_but_no_input_and_no_role() {
    type Surroundings = (Vec<String>, Option<String>, Option<String>, String);
    fn surroundings() -> Surroundings {
        let input = std::io::read_to_string(std::io::stdin()).unwrap();
        let variable = |name: &str| std::env::var(name).ok();
        (std::env::args().collect(), variable("PATH"), variable("MILLPOND_CHILD"), input)
    }

    let _watchdog = Watchdog::start();
    let (arguments, path, role, input) =
        Process::new(surroundings).start().unwrap().join().unwrap();
    assert_eq!(arguments, std::env::args().collect::<Vec<_>>());
    assert_eq!(path, std::env::var("PATH").ok());
    assert_eq!(role, None);
    assert_eq!(input, "");
}

#[test]
fn active_children_are_those_that_run() {
    let _watchdog = Watchdog::start();
    let names = || -> Vec<String> {
        let ours = active_children().into_iter().filter(|child| child.name().starts_with("active"));
        ours.map(|child| child.name().to_owned()).collect()
    };
    let one = Process::new(wait_for_the_end).name("active 1").start().unwrap();
    let two = Process::new(wait_for_the_end).name("active 2").start().unwrap();
    assert_eq!(names(), ["active 1", "active 2"]);
    let child = active_children().into_iter().find(|child| child.pid() == one.pid()).unwrap();
    child.kill().unwrap();
    assert_eq!(child.join().unwrap_err().signal_name(), Some("SIGKILL"));
    assert_eq!(names(), ["active 2"]);
    assert_eq!(one.join().unwrap_err().signal_name(), Some("SIGKILL"));
    two.kill().unwrap();
    two.join().unwrap_err();
    assert!(names().is_empty());
}

#[test]
fn many_threads_may_start_processes_at_once() {
    let _watchdog = Watchdog::start();
    let ready = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                for round in 0..5 {
                    let process = Process::new(|a: u64, b: u64| a * 10 + b).args((thread, round));
                    let process = process.daemon(round % 2 == 0).start().unwrap();
                    assert_eq!(process.join().unwrap(), thread * 10 + round);
                }
            });
        }
    });
}

#[test]
fn handles_can_be_shown() {
    let _watchdog = Watchdog::start();
    let process = Process::new(|n: u32| n).name("shown");
    let unstarted = format!("{process:?}");
    assert!(unstarted.contains("\"shown\"") && unstarted.contains("Missing"), "{unstarted}");
    let process = process.arg(1).start().unwrap();
    process.join().unwrap();
    let shown = format!("{process:?}");
    assert!(shown.contains("\"shown\"") && shown.contains("Exited(0)"), "{shown}");
    assert!(shown.contains(&process.pid().to_string()), "{shown}");
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn handles_and_errors_cross_threads() {
    is_send_and_sync::<millpond::ProcessHandle<std::rc::Rc<u8>>>();
    is_send_and_sync::<millpond::Child>();
    is_send_and_sync::<millpond::Error>();
}
