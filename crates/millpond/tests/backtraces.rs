//! Stacks of panics, which the environment has to ask for.

#[path = "support/watchdog.rs"]
mod watchdog;

use watchdog::Watchdog;

#[inline(never)]
fn outer(number: u32) {
    inner(number + 1);
}

#[inline(never)]
fn inner(number: u32) {
    panic!("no {number} today");
}

fn set(variable: &str, value: Option<&str>) {
    // SAFETY: the watchdog's thread and that of the harness, the others, do not touch the
    // environment now.
    unsafe {
        match value {
            Some(value) => std::env::set_var(variable, value),
            None => std::env::remove_var(variable),
        }
    }
}

// The only test of this program: it changes the environment.
#[millpond::test]
fn a_stack_comes_if_it_was_asked_for() {
    let _watchdog = Watchdog::start();
    let panicked = || {
        let process = millpond::spawn(outer, 5).unwrap().join().unwrap_err();
        let task = millpond::Pool::new(1).unwrap().spawn(outer, 5).join().unwrap_err();
        [process.backtrace().map(str::to_owned), task.backtrace().map(str::to_owned)]
    };
    set("RUST_BACKTRACE", None);
    set("RUST_LIB_BACKTRACE", None);
    assert_eq!(panicked(), [None, None]);
    for (variable, value) in [("RUST_BACKTRACE", "1"), ("RUST_LIB_BACKTRACE", "1")] {
        set(variable, Some(value));
        for stack in panicked() {
            let stack = stack.unwrap();
            let first = stack.lines().next().unwrap();
            assert!(first.contains("inner"), "machinery on top:\n{stack}");
            let last = stack.lines().rfind(|line| line.contains(": ")).unwrap();
            assert!(last.contains("outer"), "machinery below:\n{stack}");
        }
    }
    set("RUST_LIB_BACKTRACE", Some("0"));
    assert_eq!(panicked(), [None, None]);
}
