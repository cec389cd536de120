//! Runs every example and looks at what it prints.

use std::path::PathBuf;
use std::process::{Command, Stdio};

#[path = "support/watchdog.rs"]
mod watchdog;

use watchdog::Watchdog;

fn example(name: &str) -> Command {
    // This test is in `target/<profile>/deps`, examples are in `target/<profile>/examples`.
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples`", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// The lines that an example prints.
fn lines(name: &str) -> Vec<String> {
    let output = example(name).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    assert_eq!(errors, "", "{name} complains");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn current_process() {
    let _watchdog = Watchdog::start();
    let lines = lines("current_process");
    let main = lines[0].strip_prefix("MainProcess has pid ").unwrap();
    let child = lines[1].strip_prefix("Process-1 has pid ").unwrap();
    assert_ne!(main, child);
    assert_eq!(lines[2..], [format!("the parent says {child}")]);
}

#[test]
fn greetings() {
    let _watchdog = Watchdog::start();
    let mut lines = lines("greetings");
    assert_eq!(lines.pop().unwrap(), "all have been greeted");
    assert_eq!(sorted(lines), ["hello, Ada!", "hello, Edsger!", "hello, Grace!"]);
}

#[test]
fn nothing_hangs_or_is_left_whoever_is_killed() {
    let _watchdog = Watchdog::start();
    let output = example("chaos").args(["--kills", "120"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains(" 0 hangs, 0 lost, 0 doubled, 0 leaked, 0 faults"), "{text}{errors}");
}

#[test]
fn numbers() {
    let _watchdog = Watchdog::start();
    assert_eq!(sorted(lines("numbers")), ["number 0", "number 1", "number 2", "number 3"]);
}

#[test]
fn attribute() {
    let _watchdog = Watchdog::start();
    assert_eq!(lines("attribute"), ["[0, 1, 4, 9]"]);
}

#[test]
fn unaware() {
    let _watchdog = Watchdog::start();
    assert_eq!(lines("unaware"), ["[4, 9, 16, 9]"]);
}

#[test]
fn server() {
    let _watchdog = Watchdog::start();
    let output = example("server").env("RUST_BACKTRACE", "0").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
        [
            "/square/12: 200 144",
            "/fly/1: 400 nobody can fly",
            "/panic/3: 500 3 is too much",
            "/crash/0: 502 SIGABRT",
            "/sleep/3600: 504 it takes too long",
            "/square/13: 200 169",
            "100 of 100 at once",
        ]
    );
}

#[test]
fn is_finished() {
    let _watchdog = Watchdog::start();
    let expected = ["at first: is_finished = false", "at last: is_finished = true"];
    assert_eq!(lines("is_finished"), expected);
}

#[test]
fn named_children() {
    let _watchdog = Watchdog::start();
    assert_eq!(
        sorted(lines("named_children")),
        [
            "Child 1 has ended",
            "Child 2 has ended",
            "I am Child 1, started by MainProcess",
            "I am Child 2, started by MainProcess",
        ]
    );
}

#[test]
fn active_children() {
    let _watchdog = Watchdog::start();
    assert_eq!(
        lines("active_children"),
        [
            "0 children: ",
            "2 children: left, right",
            "SIGTERM",
            "1 children: right",
            "SIGKILL",
            "0 children: ",
        ]
    );
}

#[test]
fn two_threads() {
    let _watchdog = Watchdog::start();
    assert_eq!(lines("two_threads"), ["1000 numbers removed, 0 left", "sum 500500"]);
}

#[test]
fn pool_map() {
    let _watchdog = Watchdog::start();
    let list = |of: fn(u64) -> u64| (1..=10).map(of).collect::<Vec<u64>>();
    assert_eq!(
        lines("pool_map"),
        [
            format!("squares {:?}", list(|n| n * n)),
            format!("cubes {:?}", list(|n| n * n * n)),
            format!("doubles {:?}", list(|n| n * 2)),
        ]
    );
}

#[test]
fn pool_sizes() {
    let _watchdog = Watchdog::start();
    assert_eq!(
        lines("pool_sizes"),
        [
            "one for each CPU: true",
            "[1, 3, 5]",
            "Pool { state: Running, workers: 60 }",
            "180300",
            "Pool { state: Closed, workers: 60 }",
        ]
    );
}

#[test]
fn pool_async() {
    let _watchdog = Watchdog::start();
    let squares: Vec<u64> = (0..25).map(|n| n * n).collect();
    assert_eq!(
        lines("pool_async"),
        [
            "144".to_owned(),
            format!("{squares:?}"),
            "the task (function `pool_async::sleep`) did not end within 1s".to_owned(),
        ]
    );
}

#[test]
fn pool_left_open() {
    let _watchdog = Watchdog::start();
    // Status 0, and standard output closed by all: `lines` looks at both.
    assert_eq!(lines("pool_left_open"), ["[1, 2, 3, 4, 5]"]);
}

#[test]
fn threads_or_processes() {
    let _watchdog = Watchdog::start();
    let lines = lines("threads_or_processes");
    let same = lines.iter().filter(|line| *line == "the same results: true").count();
    assert_eq!((lines.len(), same), (8, 2), "{lines:?}");
    let milliseconds = |what: &str| -> u64 {
        let line = lines.iter().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim_start_matches(": ").trim_end_matches(" ms").parse().unwrap()
    };
    // Sleeps last at least what they are told to.
    assert!(milliseconds("I/O-bound, one after the other") >= 400, "{lines:?}");
}

#[test]
fn print_under_lock() {
    let _watchdog = Watchdog::start();
    let mut lines = lines("print_under_lock");
    assert_eq!(lines.pop().unwrap(), "held by None");
    let names = ["first", "second", "third"];
    let steps = names.iter().flat_map(|name| (1..=3).map(move |n| format!("{name}: step {n}")));
    assert_eq!(sorted(lines), steps.collect::<Vec<_>>());
}

#[test]
fn shared_counter() {
    let _watchdog = Watchdog::start();
    let expected = ["4 processes counted to 40000", "the holder died: true", "and on to 40001"];
    assert_eq!(lines("shared_counter"), expected);
}

#[test]
fn relay() {
    let _watchdog = Watchdog::start();
    let expected = [
        "go",
        "runner 0 has the baton",
        "runner 1 has the baton",
        "runner 2 has the baton",
        "all have finished",
    ];
    assert_eq!(lines("relay"), expected);
}

#[test]
fn a_role_that_nobody_gave_ends_the_program() {
    let _watchdog = Watchdog::start();
    for (role, complaint) in [
        ("nonsense", "MILLPOND_CHILD"),
        // Descriptors that are not open.
        ("process:900:901", "cannot read what it is to do"),
        // Descriptors that are open, and something else.
        ("process:0:1", "cannot read what it is to do"),
        ("zygote:900:901:902:903:904:905", "cannot read what it is to do"),
        ("zygote:0:1:900:901:902:903", "cannot read what it is to do"),
    ] {
        let output = example("greetings").env("MILLPOND_CHILD", role).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(70), "{role}: {errors}");
        assert!(errors.contains(complaint), "{role}: {errors}");
        assert!(output.stdout.is_empty(), "{role}: main went on");
    }
}

#[test]
fn pipe_list() {
    let _watchdog = Watchdog::start();
    assert_eq!(lines("pipe_list"), ["(42, None, \"hello\")"]);
}

#[test]
fn queue_even_numbers() {
    let _watchdog = Watchdog::start();
    assert_eq!(lines("queue_even_numbers"), ["[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]"]);
}

#[test]
fn join_before_get() {
    let _watchdog = Watchdog::start();
    let sum = "499999500000";
    assert_eq!(lines("join_before_get"), ["4 results", sum, sum, sum, sum]);
}
