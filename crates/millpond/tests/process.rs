//! What a process gives back, and how it is looked after.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use millpond::{Builder, ErrorKind, ExitStatus, active_children, current_process, parent_process};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

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
    let process = millpond::spawn(moved, (point, 2.5)).unwrap();
    assert_eq!(process.join().unwrap(), Ok(expected));
    assert_eq!(millpond::spawn(|| 7_u8, ()).unwrap().join().unwrap(), 7);
    assert_eq!(millpond::spawn(generic::<u64>, ()).unwrap().join().unwrap(), 0);
    assert_eq!(millpond::spawn(generic::<String>, ()).unwrap().join().unwrap(), "");
    let six = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8| [a, b, c, d, e, f];
    let process = millpond::spawn(six, (1, 2, 3, 4, 5, 6)).unwrap();
    assert_eq!(process.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    millpond::spawn(|(): ()| (), ()).unwrap().join().unwrap();
}

#[test]
fn a_result_is_given_once_and_a_child_may_be_waited_for_by_several_threads() {
    let _watchdog = Watchdog::start();
    let mut process = millpond::spawn(|word: String| word + "!", "hey".to_owned()).unwrap();
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| process.child().join().unwrap())));
    });
    assert!(process.is_finished());
    assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), "hey!");
    assert_eq!(process.exit_status(), Some(ExitStatus::Exited(0)));
    assert_eq!(process.join().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn large_arguments_and_results_need_no_reader() {
    fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    let _watchdog = Watchdog::start();
    let bytes: Vec<u8> = (0..64 << 20).map(|at: u32| (at % 251) as u8).collect();
    let process = millpond::spawn(reversed, bytes.clone()).unwrap();
    // It ends although nobody has taken the result yet.
    while !process.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
    let mut result = process.join().unwrap();
    result.reverse();
    assert!(result == bytes, "64 MiB came back changed");

    let numbers = |count: u64| (0..count).collect::<Vec<u64>>();
    let numbers = millpond::spawn(numbers, 1_000_000).unwrap().join().unwrap();
    assert_eq!(numbers.iter().sum::<u64>(), 499_999_500_000);
}

#[test]
fn kill_and_terminate_end_it() {
    let _watchdog = Watchdog::start();
    let killed = millpond::spawn(wait_for_the_end, ()).unwrap();
    let terminated = millpond::spawn(wait_for_the_end, ()).unwrap();
    assert!(!killed.is_finished() && !terminated.is_finished());
    assert_eq!(killed.exit_status(), None);
    killed.kill().unwrap();
    terminated.terminate().unwrap();
    assert_eq!(killed.child().join().unwrap_err().signal_name(), Some("SIGKILL"));
    assert_eq!(terminated.child().join().unwrap_err().signal_name(), Some("SIGTERM"));
    assert!(killed.is_finished() && terminated.is_finished());
    // To the dead it means nothing.
    killed.kill().unwrap();
    terminated.terminate().unwrap();
}

#[test]
fn a_timeout_leaves_it_running() {
    let _watchdog = Watchdog::start();
    let mut process = Builder::new().name("slow").spawn(wait_for_the_end, ()).unwrap();
    let error = process.join_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().ends_with("did not end within 20ms"), "{error}");
    assert!(!process.is_finished());
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
        (me.name().to_owned(), me.pid(), me.ends_with_parent(), parent)
    }
    fn nested() -> (String, String) {
        let named = Builder::new().name("inner").spawn(who, ()).unwrap().join().unwrap();
        let (_, _, _, parent) = named;
        let unnamed = millpond::spawn(who, ()).unwrap();
        (parent.unwrap().0, unnamed.name().to_owned())
    }

    let _watchdog = Watchdog::start();
    let main = ("MainProcess".to_owned(), std::process::id(), true);
    assert_eq!(who(), (main.0.clone(), main.1, false, None));
    let daemon = Builder::new().name("Child 1").end_with_parent(true).spawn(who, ()).unwrap();
    assert!(daemon.ends_with_parent());
    assert_eq!(daemon.name(), "Child 1");
    let pid = daemon.pid();
    assert_eq!(daemon.join().unwrap(), ("Child 1".to_owned(), pid, true, Some(main)));

    let (outer, unnamed) = Builder::new().name("outer").spawn(nested, ()).unwrap().join().unwrap();
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
    let (arguments, path, role, input) = millpond::spawn(surroundings, ()).unwrap().join().unwrap();
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
    let one = Builder::new().name("active 1").spawn(wait_for_the_end, ()).unwrap();
    let two = Builder::new().name("active 2").spawn(wait_for_the_end, ()).unwrap();
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
                    let sum = |a: u64, b: u64| a * 10 + b;
                    let builder = Builder::new().end_with_parent(round % 2 == 0);
                    let process = builder.spawn(sum, (thread, round)).unwrap();
                    assert_eq!(process.join().unwrap(), thread * 10 + round);
                }
            });
        }
    });
}

#[test]
fn handles_can_be_shown() {
    let _watchdog = Watchdog::start();
    let builder = Builder::new().name("shown");
    let unstarted = format!("{builder:?}");
    assert!(unstarted.contains("\"shown\""), "{unstarted}");
    let mut process = builder.spawn(|n: u32| n, 1).unwrap();
    process.join_timeout(Duration::MAX).unwrap();
    let shown = format!("{process:?}");
    assert!(shown.contains("\"shown\"") && shown.contains("Exited(0)"), "{shown}");
    assert!(shown.contains(&process.pid().to_string()), "{shown}");
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn handles_and_errors_cross_threads() {
    is_send_and_sync::<millpond::JoinHandle<std::rc::Rc<u8>>>();
    is_send_and_sync::<millpond::Child>();
    is_send_and_sync::<millpond::Error>();
}
